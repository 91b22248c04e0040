// Telling a file that is one JSON list from one of JSON lines.
#pragma once
#include <antiphon/component/data_source.h>

namespace antiphon::records {

// Whether the file begins as a list of objects, and does not go on after the end of it: what goes on is JSON lines of
// which the first is a list.
bool begins_list(const FileStart& start);

}  // namespace antiphon::records
