#include <antiphon/weights/safetensors_header.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <unordered_set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/weights/json_cursor.h>

namespace antiphon::weights {
namespace {

struct DtypeRow {
  std::string_view name;
  uint64_t bits;
};

constexpr std::array<DtypeRow, 22> dtypes{{
    {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
    {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
    {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
    {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64},
}};

constexpr uint64_t length_bytes = 8;

[[noreturn]] void reject(const std::string& file, const std::string& message) {
  fail(ErrorKind::weights, file + ": " + message,
       "the file is damaged or was not written as safetensors: fetch it again, or save it anew");
}

// A name in a message: quoted, unprintable bytes escaped, at most one line long.
std::string show(const std::string& name) {
  const auto text = nlohmann::json(name).dump(-1, ' ', true);
  return text.size() <= 200 ? text : text.substr(0, 197) + "...";
}

class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& file) : json_(text, file + ": header") {}

  SafetensorsHeader parse() {
    json_.object([&](std::string key) {
      if (!keys_.insert(key).second) json_.fail_here("duplicate key " + show(key));
      if (key == "__metadata__") return metadata();
      if (header_.tensors.size() == max_tensors) json_.fail_here(fmt::format("more than {} tensors", max_tensors));
      header_.tensors.push_back(tensor(std::move(key)));
    });
    json_.finish();
    return std::move(header_);
  }

 private:
  void metadata() {
    if (json_.take_null()) return;
    json_.object([&](std::string key) {
      auto value = json_.string();
      if (!header_.metadata.emplace(key, std::move(value)).second)
        json_.fail_here("duplicate key " + show(key) + " in __metadata__");
    });
  }

  TensorInfo tensor(std::string name) {
    TensorInfo info;
    unsigned seen = 0;
    const auto once = [&](unsigned bit) {
      if (seen & bit) json_.fail_here("duplicate key in tensor " + show(name));
      seen |= bit;
    };
    json_.object([&](const std::string& key) {
      if (key == "dtype")
        once(1), info.dtype = dtype(name);
      else if (key == "shape")
        once(2), json_.array([&] { info.shape.push_back(json_.unsigned_integer()); });
      else if (key == "data_offsets")
        once(4), offsets(name, info);
      else
        json_.skip();
    });
    if (seen != 7)
      json_.fail_here(fmt::format("tensor {} lacks its {}", show(name),
                                  !(seen & 1)   ? "dtype"
                                  : !(seen & 2) ? "shape"
                                                : "data_offsets"));
    info.name = std::move(name);
    return info;
  }

  Dtype dtype(const std::string& name) {
    const auto text = json_.string();
    const auto found = dtype_from_string(text);
    if (!found) json_.fail_here(fmt::format("tensor {} has the unknown dtype {}", show(name), show(text)));
    return *found;
  }

  void offsets(const std::string& name, TensorInfo& info) {
    size_t count = 0;
    json_.array([&] {
      const auto value = json_.unsigned_integer();
      if (count < 2) (count == 0 ? info.begin : info.end) = value;
      ++count;
    });
    if (count != 2) json_.fail_here(fmt::format("tensor {} has {} data_offsets; 2 are expected", show(name), count));
  }

  JsonCursor json_;
  SafetensorsHeader header_;
  std::unordered_set<std::string> keys_;
};

// Bytes that the dtype and shape take; every step checked, in the order of the reference.
uint64_t expected_bytes(const TensorInfo& info, const std::string& file) {
  uint64_t count = 1;
  bool overflow = false;
  for (const auto size : info.shape) overflow |= __builtin_mul_overflow(count, size, &count);
  overflow |= __builtin_mul_overflow(count, bits_of(info.dtype), &count);
  if (overflow)
    reject(file,
           fmt::format("the size of tensor {} of shape [{}] overflows", show(info.name), fmt::join(info.shape, ", ")));
  if (count % 8) reject(file, fmt::format("tensor {} ends within a byte", show(info.name)));
  return count / 8;
}

// Checks that the tensors cover the data without a hole or overlap; returns where the last one ends.
uint64_t check_coverage(const std::vector<TensorInfo>& tensors, const std::string& file) {
  uint64_t start = 0;
  for (const auto& info : tensors) {
    if (info.begin != start || info.end < info.begin) {
      reject(file, fmt::format("tensor {} has data_offsets [{}, {}]; the bytes before it end at {} (a hole, an overlap "
                               "or a wrong order)",
                               show(info.name), info.begin, info.end, start));
    }
    const auto bytes = expected_bytes(info, file);
    if (info.bytes() != bytes) {
      reject(file, fmt::format("tensor {}: {} of shape [{}] takes {} bytes, but its data_offsets [{}, {}] hold {}",
                               show(info.name), to_string(info.dtype), fmt::join(info.shape, ", "), bytes, info.begin,
                               info.end, info.bytes()));
    }
    start = info.end;
  }
  return start;
}

// The JSON text of the header, after the checks of its length and its encoding.
std::string_view header_text(std::string_view bytes, const std::string& file) {
  if (bytes.size() < length_bytes)
    reject(file, fmt::format("{} bytes are too few: 8 bytes of header length are expected", bytes.size()));
  uint64_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i)
    length |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  if (length > max_header_bytes)
    reject(file, fmt::format("a header of {} bytes; at most {} are allowed", length, max_header_bytes));
  if (length > bytes.size() - length_bytes)
    reject(file, fmt::format("a header of {} bytes, but the file ends after {}", length, bytes.size() - length_bytes));
  const auto text = bytes.substr(length_bytes, length);
  if (text.empty() || text.front() != '{') reject(file, "the header does not begin with '{'");
  if (!is_utf8(text)) reject(file, "the header is not UTF-8");
  return text;
}

}  // namespace

std::string_view to_string(Dtype dtype) { return dtypes[static_cast<size_t>(dtype)].name; }

std::optional<Dtype> dtype_from_string(std::string_view name) {
  for (size_t i = 0; i < dtypes.size(); ++i)
    if (dtypes[i].name == name) return static_cast<Dtype>(i);
  return std::nullopt;
}

uint64_t bits_of(Dtype dtype) { return dtypes[static_cast<size_t>(dtype)].bits; }

SafetensorsHeader parse_safetensors(std::string_view bytes, const std::string& file) {
  const auto text = header_text(bytes, file);
  auto header = HeaderParser(text, file).parse();
  header.data_start = length_bytes + text.size();
  std::sort(header.tensors.begin(), header.tensors.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  const auto end = check_coverage(header.tensors, file);
  const auto present = bytes.size() - header.data_start;
  if (end != present) {
    reject(file, end > present
                     ? fmt::format("truncated: the tensors take {} bytes, but {} follow the header", end, present)
                     : fmt::format("{} bytes follow the last tensor", present - end));
  }
  return header;
}

std::string write_safetensors_header(const std::vector<TensorInfo>& tensors,
                                     const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty()) text += "\"__metadata__\":" + nlohmann::json(metadata).dump();
  for (const auto& info : tensors) {
    if (text.size() > 1) text += ',';
    text += fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", nlohmann::json(info.name).dump(),
                        to_string(info.dtype), fmt::join(info.shape, ","), info.begin, info.end);
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string bytes(length_bytes, '\0');
  for (size_t i = 0; i < length_bytes; ++i) bytes[i] = static_cast<char>(text.size() >> (8 * i));
  return bytes + text;
}

}  // namespace antiphon::weights
