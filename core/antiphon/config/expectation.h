// What an option accepts, in words: "an integer from 1 to 1000", "one of crop, pad".
#pragma once
#include <string>

#include <antiphon/config/schema.h>

namespace antiphon::config {

std::string expectation(const Field& field);

}  // namespace antiphon::config
