// The members of one sample as a record.
#pragma once
#include <map>
#include <vector>

#include <antiphon/component/data_source.h>

#include "members.h"

namespace antiphon::webdataset {

// Key of the record -> where its value is: "jpg", "txt", "json[caption]", "json[turns][0]", "png,jpg" (the first that
// is there). Without any, members say themselves what they are.
using Fields = std::map<std::string, std::string>;

// JSON members' objects, texts and numbers under the name of their extension ("text" for .txt), and media listed under
// "images", "audios" and "videos" unless the record names them; `id` is the key. Media are known by their extension,
// their name and their path in the archive. Error(data) for what does not fit together.
DataRecord record_of(const OpenFile& archive, const std::vector<Member>& members, const Fields& fields);

}  // namespace antiphon::webdataset
