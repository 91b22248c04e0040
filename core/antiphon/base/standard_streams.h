// The descriptors 0, 1 and 2 that a process starts with, and the results it writes to stdout.
#pragma once
#include <antiphon/base/error.h>

namespace antiphon {

// Called first in main: opens /dev/null on those of the three that are closed, or else the next files opened would get
// their numbers, and the messages. Writing to a closed stdout still fails.
void open_standard_streams();

// Flushes stdout before something is written to stderr. A failure is kept for flush_stdout().
void push_stdout();
// The same at the end. Error(config) "cannot write to stdout: REASON" if anything could not be written; reported once.
void flush_stdout();
// That error for the errno of a failed write.
Error stdout_error(int code);

}  // namespace antiphon
