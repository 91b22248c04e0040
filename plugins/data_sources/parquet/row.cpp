#include "row.h"

#include <arrow/array.h>
#include <arrow/scalar.h>
#include <arrow/type.h>
#include <arrow/util/float16.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>

#include <cmath>

namespace antiphon::parquet_table {
namespace {

using Json = nlohmann::ordered_json;

class Row {
 public:
  Json value(const arrow::Array& array, int64_t i, const std::string& column);
  std::map<std::string, MediaBytes> media;

 private:
  Json text(std::string_view bytes, const std::string& column) const;
  Json list(const arrow::Array& items, int64_t begin, int64_t end, const std::string& column);
  Json object(const arrow::StructArray& array, int64_t i, const std::string& column);
  Json add_media(std::string bytes, std::string path, const std::string& column);
  Json finite(double value, const std::string& column) const;
  template <class Number>
  Json number(const arrow::Array& array, int64_t i, const std::string& column) const;
};

bool is_bytes(const arrow::DataType& type) {
  return type.id() == arrow::Type::BINARY || type.id() == arrow::Type::LARGE_BINARY;
}

bool is_text(const arrow::DataType& type) {
  return type.id() == arrow::Type::STRING || type.id() == arrow::Type::LARGE_STRING;
}

std::string bytes_at(const arrow::Array& array, int64_t i) {
  const bool large = array.type_id() == arrow::Type::LARGE_BINARY || array.type_id() == arrow::Type::LARGE_STRING;
  return std::string(large ? static_cast<const arrow::LargeBinaryArray&>(array).GetView(i)
                           : static_cast<const arrow::BinaryArray&>(array).GetView(i));
}

// Hugging Face's Image, Audio and Video. A column of nulls alone has no type.
bool is_media(const arrow::StructType& type) {
  const auto bytes = type.GetFieldByName("bytes"), path = type.GetFieldByName("path");
  if (type.num_fields() != 2 || !bytes || !path) return false;
  const auto none = [](const auto& field) { return field->type()->id() == arrow::Type::NA; };
  return (is_bytes(*bytes->type()) && (none(path) || is_text(*path->type()))) ||
         (none(bytes) && is_text(*path->type()));
}

Json Row::text(std::string_view bytes, const std::string& column) const {
  if (!is_utf8(bytes)) fail(ErrorKind::data, fmt::format("the column '{}' is not valid UTF-8", shown(column)));
  return std::string(bytes);
}

Json Row::finite(double value, const std::string& column) const {
  if (!std::isfinite(value))
    fail(ErrorKind::data, fmt::format("the column '{}' holds no number here: {}", shown(column), value));
  return value;
}

template <class Number>
Json Row::number(const arrow::Array& array, int64_t i, const std::string& column) const {
  const auto value = static_cast<const Number&>(array).Value(i);
  if constexpr (std::is_floating_point_v<std::remove_const_t<decltype(value)>>) return finite(value, column);
  return value;
}

Json Row::add_media(std::string bytes, std::string path, const std::string& column) {
  auto name = path.empty() ? fmt::format("{}-{}", column, media.size() + 1) : std::move(path);
  while (media.contains(name)) name = fmt::format("{}/{}", media.size() + 1, name);
  if (!is_utf8(name)) fail(ErrorKind::data, fmt::format("a path in the column '{}' is not valid UTF-8", shown(column)));
  media.emplace(name, MediaBytes::memory(std::move(bytes), name));
  return name;
}

Json Row::list(const arrow::Array& items, int64_t begin, int64_t end, const std::string& column) {
  auto out = Json::array();
  for (int64_t i = begin; i < end; ++i) out.push_back(value(items, i, column));
  return out;
}

Json Row::object(const arrow::StructArray& array, int64_t i, const std::string& column) {
  const auto& type = static_cast<const arrow::StructType&>(*array.type());
  if (is_media(type)) {
    const auto &bytes = *array.GetFieldByName("bytes"), &path = *array.GetFieldByName("path");
    const auto name = path.IsNull(i) ? std::string() : bytes_at(path, i);
    if (bytes.IsNull(i)) return name.empty() ? Json() : text(name, column);
    return add_media(bytes_at(bytes, i), name, column);
  }
  auto out = Json::object();
  for (int k = 0; k < type.num_fields(); ++k)
    if (!array.field(k)->IsNull(i)) out[type.field(k)->name()] = value(*array.field(k), i, type.field(k)->name());
  return out;
}

Json Row::value(const arrow::Array& array, int64_t i, const std::string& column) {
  if (array.IsNull(i)) return nullptr;
  switch (array.type_id()) {
    case arrow::Type::BOOL: return static_cast<const arrow::BooleanArray&>(array).Value(i);
    case arrow::Type::INT8: return number<arrow::Int8Array>(array, i, column);
    case arrow::Type::INT16: return number<arrow::Int16Array>(array, i, column);
    case arrow::Type::INT32: return number<arrow::Int32Array>(array, i, column);
    case arrow::Type::INT64: return number<arrow::Int64Array>(array, i, column);
    case arrow::Type::UINT8: return number<arrow::UInt8Array>(array, i, column);
    case arrow::Type::UINT16: return number<arrow::UInt16Array>(array, i, column);
    case arrow::Type::UINT32: return number<arrow::UInt32Array>(array, i, column);
    case arrow::Type::UINT64: return number<arrow::UInt64Array>(array, i, column);
    case arrow::Type::HALF_FLOAT: {
      const auto bits = static_cast<const arrow::HalfFloatArray&>(array).Value(i);
      return finite(arrow::util::Float16::FromBits(bits).ToFloat(), column);
    }
    case arrow::Type::FLOAT: return number<arrow::FloatArray>(array, i, column);
    case arrow::Type::DOUBLE: return number<arrow::DoubleArray>(array, i, column);
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING: return text(bytes_at(array, i), column);
    case arrow::Type::BINARY:
    case arrow::Type::LARGE_BINARY: return add_media(bytes_at(array, i), {}, column);
    case arrow::Type::LIST: {
      const auto& lists = static_cast<const arrow::ListArray&>(array);
      return list(*lists.values(), lists.value_offset(i), lists.value_offset(i + 1), column);
    }
    case arrow::Type::LARGE_LIST: {
      const auto& lists = static_cast<const arrow::LargeListArray&>(array);
      return list(*lists.values(), lists.value_offset(i), lists.value_offset(i + 1), column);
    }
    case arrow::Type::FIXED_SIZE_LIST: {
      const auto& lists = static_cast<const arrow::FixedSizeListArray&>(array);
      return list(*lists.values(), lists.value_offset(i), lists.value_offset(i + 1), column);
    }
    case arrow::Type::STRUCT: return object(static_cast<const arrow::StructArray&>(array), i, column);
    case arrow::Type::DICTIONARY: {
      const auto& words = static_cast<const arrow::DictionaryArray&>(array);
      return value(*words.dictionary(), words.GetValueIndex(i), column);
    }
    case arrow::Type::TIMESTAMP:
    case arrow::Type::DATE32:
    case arrow::Type::DATE64:
    case arrow::Type::TIME32:
    case arrow::Type::TIME64:
    case arrow::Type::DECIMAL128: return text(array.GetScalar(i).ValueOrDie()->ToString(), column);
    default: break;
  }
  fail(ErrorKind::data,
       fmt::format("the column '{}' is of the type {}, which is not read", shown(column),
                   shown(array.type()->ToString())),
       "write it as texts, numbers, lists and structs");
}

// Whatever is wrong with one column, the others can be read without it.
Json value_of(const arrow::RecordBatch& batch, int k, int64_t row, Row& reader) {
  const auto& column = batch.schema()->field(k)->name();
  try {
    return reader.value(*batch.column(k), row, column);
  } catch (const Error& error) {
    const auto fix = error.fix().empty() ? "" : error.fix() + ", or ";
    fail(error.kind(), error.message(),
         fmt::format("{}leave out the column if nothing needs it: ignore = [\"{}\"]", fix, shown(column)));
  }
}

}  // namespace

DataRecord record_of(const arrow::RecordBatch& batch, int64_t row) {
  Row reader;
  auto object = Json::object();
  for (int k = 0; k < batch.num_columns(); ++k) {
    const auto& column = batch.schema()->field(k)->name();
    if (object.contains(column)) fail(ErrorKind::data, fmt::format("two columns are called '{}'", shown(column)));
    if (!batch.column(k)->IsNull(row)) object[column] = value_of(batch, k, row, reader);
  }
  DataRecord record{object.dump(), 0, std::move(reader.media)};
  if (record.bytes.size() > kMaxRecordBytes)
    fail(ErrorKind::data,
         fmt::format("the record has {} without its media; at most {} are allowed",
                     human_bytes(static_cast<double>(record.bytes.size())), human_bytes(kMaxRecordBytes)));
  return record;
}

}  // namespace antiphon::parquet_table
