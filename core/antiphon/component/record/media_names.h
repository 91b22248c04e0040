// What kind of medium a file's name says that it is.
#pragma once
#include <optional>
#include <string_view>

#include <antiphon/component/sample.h>

namespace antiphon::records {

// By its extension, in letters of any case; nullopt: it is not that of a medium. Bytes decide how a file is read.
std::optional<Modality> modality_of_file(std::string_view name);

}  // namespace antiphon::records
