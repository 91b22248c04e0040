// The descriptors 0, 1 and 2 that a process starts with, and its results on stdout.
#pragma once
#include <antiphon/base/error.h>

namespace antiphon {

// First of all in main: opens /dev/null on those of the three that are closed, else the next files to be opened would
// get their numbers, and messages. A closed stdout stays one that cannot be written to.
void open_standard_streams();

// Writes out what is buffered for stdout, before something goes to stderr. A failure is kept for flush_stdout().
void push_stdout();
// The same at the end. Error(config) "cannot write to stdout: REASON" if anything could not be written; it is told
// once.
void flush_stdout();
// That error, for an errno of a failed write.
Error stdout_error(int code);

}  // namespace antiphon
