// What the values of a column are, taken from the records of a set, and how Arrow and Hugging Face name that.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <arrow/array/builder_base.h>
#include <arrow/type.h>
#include <nlohmann/json.hpp>

#include <antiphon/component/data_source.h>

namespace antiphon::parquet_table {

using Json = nlohmann::ordered_json;
// Texts that are one of these names are media.
using Media = std::map<std::string, MediaBytes>;

struct ColumnType {
  enum class Is { nothing, truth, whole, number, text, medium, list, object };
  Is is = Is::nothing;
  std::vector<std::string> names;   // of an object's members, in the order in which they were met
  std::vector<ColumnType> members;  // those; of a list the one that all items are of
};

// Makes the type wide enough for the value, too; texts among media are paths of files. Error(data) if one column would
// hold values of two kinds, or an object without members; `column` names it in messages.
void take_in(ColumnType& type, const Json& value, const Media& media, const std::string& column);

// Media are {bytes, path}.
std::shared_ptr<arrow::DataType> arrow_type(const ColumnType& type);

// As datasets' Features.from_dict() reads them. Media are a feature of their kind below a key that says which (image,
// audios, …), else a struct. Source: datasets, src/datasets/features/features.py.
Json huggingface_feature(const ColumnType& type, const std::string& key);

// `builder` is of arrow_type(type). Returns about how many bytes it took. Error(data) if a medium cannot be read, or if
// the value is not of the type.
int64_t append(arrow::ArrayBuilder& builder, const ColumnType& type, const Json& value, const Media& media);

}  // namespace antiphon::parquet_table
