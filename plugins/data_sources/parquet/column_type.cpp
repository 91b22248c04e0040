#include "column_type.h"

#include <arrow/array/builder_binary.h>
#include <arrow/array/builder_nested.h>
#include <arrow/array/builder_primitive.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>

#include <algorithm>
#include <array>

namespace antiphon::parquet_table {
namespace {

using Is = ColumnType::Is;

const char* name_of(Is is) {
  constexpr std::array names{"nothing", "true or false", "whole numbers", "numbers",
                             "texts",   "media",         "lists",         "objects"};
  return names.at(static_cast<size_t>(is));
}

Is kind_of(const Json& value, const Media& media) {
  if (value.is_null()) return Is::nothing;
  if (value.is_boolean()) return Is::truth;
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return Is::number;
  if (value.is_number_integer()) return Is::whole;
  if (value.is_number()) return Is::number;
  if (value.is_string()) return media.contains(value.get_ref<const std::string&>()) ? Is::medium : Is::text;
  return value.is_array() ? Is::list : Is::object;
}

// A text among media is a file's path.
bool holds(Is wide, Is narrow) {
  return wide == narrow || narrow == Is::nothing || (wide == Is::number && narrow == Is::whole) ||
         (wide == Is::medium && narrow == Is::text);
}

void widen(ColumnType& type, Is found, const std::string& column) {
  if (holds(type.is, found)) return;
  if (!holds(found, type.is))
    fail(ErrorKind::data,
         fmt::format("the column '{}' of a table would hold {} here and {} before; a column has one type",
                     shown(column), name_of(found), name_of(type.is)),
         "write this set as lines or archives, or in another layout");
  type.is = found;
}

ColumnType& member(ColumnType& type, const std::string& name) {
  const auto at = std::ranges::find(type.names, name) - type.names.begin();
  if (at == std::ssize(type.names)) type.names.push_back(name), type.members.emplace_back();
  return type.members[static_cast<size_t>(at)];
}

// The records are read once to find the columns, and once more to write them.
void check_unchanged(const ColumnType& type, const Json& value, const Media& media) {
  bool known = holds(type.is, kind_of(value, media));
  if (value.is_object())
    for (const auto& [key, one] : value.items()) known = known && std::ranges::count(type.names, key) > 0;
  if (!known)
    fail(ErrorKind::data, "the record has changed since the columns of the table were found", "convert again");
}

void check(const arrow::Status& status) {
  if (!status.ok())
    fail(status.IsOutOfMemory() ? ErrorKind::memory : ErrorKind::data,
         "a table cannot hold this: " + status.ToString());
}

template <class Builder>
Builder& as(arrow::ArrayBuilder& builder) {
  return static_cast<Builder&>(builder);
}

int64_t append_text(arrow::BinaryBuilder& builder, std::string_view text) {
  check(builder.Append(text));
  return static_cast<int64_t>(text.size());
}

int64_t append_medium(arrow::StructBuilder& builder, const std::string& name, const Media& media) {
  check(builder.Append());
  auto& bytes = as<arrow::BinaryBuilder>(*builder.field_builder(0));
  const auto found = media.find(name);
  const auto own = found == media.end() ? std::string() : found->second.read(INT32_MAX);
  if (found == media.end())
    check(bytes.AppendNull());
  else
    append_text(bytes, own);
  return static_cast<int64_t>(own.size()) + append_text(as<arrow::StringBuilder>(*builder.field_builder(1)), name);
}

int64_t append_list(arrow::ListBuilder& builder, const ColumnType& item, const Json& value, const Media& media) {
  check(builder.Append());
  int64_t bytes = 0;
  for (const auto& one : value) bytes += append(*builder.value_builder(), item, one, media);
  return bytes;
}

int64_t append_object(arrow::StructBuilder& builder, const ColumnType& type, const Json& value, const Media& media) {
  check(builder.Append());
  int64_t bytes = 0;
  for (size_t k = 0; k < type.names.size(); ++k) {
    const auto found = value.find(type.names[k]);
    const auto& one = found == value.end() ? Json() : *found;
    bytes += append(*builder.field_builder(static_cast<int>(k)), type.members[k], one, media);
  }
  return bytes;
}

}  // namespace

void take_in(ColumnType& type, const Json& value, const Media& media, const std::string& column) {
  widen(type, kind_of(value, media), column);
  if (value.is_array()) {
    if (type.members.empty()) type.members.emplace_back();
    for (const auto& item : value) take_in(type.members.front(), item, media, column);
  }
  if (!value.is_object()) return;
  if (value.empty())
    fail(ErrorKind::data, fmt::format("'{}' is an object without members, which no table holds", shown(column)),
         "write this set as lines or archives");
  for (const auto& [key, one] : value.items())
    take_in(member(type, key), one, media, column.empty() ? key : column + "." + key);
}

std::shared_ptr<arrow::DataType> arrow_type(const ColumnType& type) {
  switch (type.is) {
    case Is::truth: return arrow::boolean();
    case Is::whole: return arrow::int64();
    case Is::number: return arrow::float64();
    case Is::medium:
      return arrow::struct_({arrow::field("bytes", arrow::binary()), arrow::field("path", arrow::utf8())});
    case Is::list: return arrow::list(arrow_type(type.members.front()));
    case Is::object: break;
    default: return arrow::utf8();  // of nulls alone, too
  }
  arrow::FieldVector fields;
  for (size_t k = 0; k < type.names.size(); ++k)
    fields.push_back(arrow::field(type.names[k], arrow_type(type.members[k])));
  return arrow::struct_(fields);
}

Json huggingface_feature(const ColumnType& type, const std::string& key) {
  const auto value = [](const char* dtype) { return Json{{"dtype", dtype}, {"_type", "Value"}}; };
  switch (type.is) {
    case Is::truth: return value("bool");
    case Is::whole: return value("int64");
    case Is::number: return value("float64");
    case Is::list: return Json::array({huggingface_feature(type.members.front(), key)});
    case Is::object: break;
    case Is::medium:
      for (const auto& [word, feature] : {std::pair{"image", "Image"}, {"audio", "Audio"}, {"video", "Video"}})
        if (key.starts_with(word)) return {{"_type", feature}};
      return {{"bytes", value("binary")}, {"path", value("string")}};
    default: return value("string");
  }
  auto features = Json::object();
  for (size_t k = 0; k < type.names.size(); ++k)
    features[type.names[k]] = huggingface_feature(type.members[k], type.names[k]);
  return features;
}

int64_t append(arrow::ArrayBuilder& builder, const ColumnType& type, const Json& value, const Media& media) {
  constexpr int64_t kNumberBytes = 8;
  if (value.is_null()) return check(builder.AppendNull()), kNumberBytes;
  check_unchanged(type, value, media);
  switch (type.is) {
    case Is::truth: return check(as<arrow::BooleanBuilder>(builder).Append(value.get<bool>())), kNumberBytes;
    case Is::whole: return check(as<arrow::Int64Builder>(builder).Append(value.get<int64_t>())), kNumberBytes;
    case Is::number: return check(as<arrow::DoubleBuilder>(builder).Append(value.get<double>())), kNumberBytes;
    case Is::list: return append_list(as<arrow::ListBuilder>(builder), type.members.front(), value, media);
    case Is::object: return append_object(as<arrow::StructBuilder>(builder), type, value, media);
    default: break;
  }
  const auto& text = value.get_ref<const std::string&>();
  return type.is == Is::medium ? append_medium(as<arrow::StructBuilder>(builder), text, media)
                               : append_text(as<arrow::StringBuilder>(builder), text);
}

}  // namespace antiphon::parquet_table
