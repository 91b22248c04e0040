#include <antiphon/base/gguf.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <set>

#include <fmt/format.h>

#include <antiphon/base/strings.h>

namespace antiphon {
namespace {

using nlohmann::json;

constexpr uint32_t gguf_magic = 0x46554747;  // "GGUF"
constexpr uint64_t most_entries = 1 << 20, most_elements = 1 << 24, longest_key = 65535, longest_name = 1024;
constexpr int most_dimensions = 8, deepest = 4;

enum class GgufValue : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, list, u64, i64, f64 };

constexpr std::pair<GgmlType, GgmlLayout> layouts[] = {
    {GgmlType::F32, {1, 4, "F32"}},       {GgmlType::F16, {1, 2, "F16"}},       {GgmlType::BF16, {1, 2, "BF16"}},
    {GgmlType::Q4_0, {32, 18, "Q4_0"}},   {GgmlType::Q4_1, {32, 20, "Q4_1"}},   {GgmlType::Q5_0, {32, 22, "Q5_0"}},
    {GgmlType::Q5_1, {32, 24, "Q5_1"}},   {GgmlType::Q8_0, {32, 34, "Q8_0"}},   {GgmlType::Q2_K, {256, 84, "Q2_K"}},
    {GgmlType::Q3_K, {256, 110, "Q3_K"}}, {GgmlType::Q4_K, {256, 144, "Q4_K"}}, {GgmlType::Q5_K, {256, 176, "Q5_K"}},
    {GgmlType::Q6_K, {256, 210, "Q6_K"}}};

class GgufParser {
 public:
  GgufParser(std::string_view bytes, const std::string& file, ErrorKind kind)
      : bytes_(bytes), file_(file), kind_(kind) {}

  GgufContent run() {
    const auto [tensors, entries] = head();
    for (uint64_t i = 0; i < entries; ++i) entry();
    for (uint64_t i = 0; i < tensors; ++i) tensor();
    place_tensors();
    return std::move(content_);
  }

 private:
  struct Head {
    uint64_t tensors, entries;
  };
  [[noreturn]] void refuse(const std::string& what) const {
    fail(kind_, fmt::format("{}: {}, at byte {}", file_, what, at_), "the file is damaged or cut off: fetch it again");
  }

  Head head() {
    if (bytes_.size() < 4 || number<uint32_t>() != gguf_magic) at_ = 0, refuse("this is not a GGUF file");
    if (const auto version = number<uint32_t>(); version < 2 || version > 3)
      refuse(fmt::format("GGUF of version {}, expected 2 or 3 with the lowest byte first", version));
    const auto tensors = number<uint64_t>(), entries = number<uint64_t>();
    if (tensors > most_entries || entries > most_entries)
      refuse(fmt::format("{} tensors and {} entries, expected {} of each at most", tensors, entries, most_entries));
    return {tensors, entries};
  }

  std::string_view take(uint64_t count) {
    if (count > bytes_.size() - at_) refuse(fmt::format("{} more bytes are needed than there are", count));
    const auto taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string string(uint64_t longest, const char* what) {
    const auto length = number<uint64_t>();
    if (length > longest) refuse(fmt::format("{} of {} bytes", what, length));
    const auto found = take(length);
    if (!is_utf8(found)) refuse(fmt::format("{} that is not UTF-8", what));
    return std::string(found);
  }
  template <class T>
  json real() {
    const double value = number<T>();
    if (!std::isfinite(value)) refuse("a number that is not finite");
    return value;
  }

  json value(uint32_t type, int depth) {
    switch (static_cast<GgufValue>(type)) {
      case GgufValue::u8: return number<uint8_t>();
      case GgufValue::i8: return number<int8_t>();
      case GgufValue::u16: return number<uint16_t>();
      case GgufValue::i16: return number<int16_t>();
      case GgufValue::u32: return number<uint32_t>();
      case GgufValue::i32: return number<int32_t>();
      case GgufValue::u64: return number<uint64_t>();
      case GgufValue::i64: return number<int64_t>();
      case GgufValue::f32: return real<float>();
      case GgufValue::f64: return real<double>();
      case GgufValue::boolean: return truth();
      case GgufValue::text: return string(bytes_.size(), "a text");
      case GgufValue::list: return elements(depth);
    }
    refuse(fmt::format("a value of the type {}, which is not known", type));
  }
  bool truth() {
    const auto byte = number<uint8_t>();
    if (byte > 1) refuse(fmt::format("a truth value of {}", byte));
    return byte == 1;
  }
  json elements(int depth) {
    const auto type = number<uint32_t>();
    const auto count = number<uint64_t>();
    if (depth >= deepest) refuse("lists within lists, too deep");
    elements_ += count;
    if (count > bytes_.size() - at_ || elements_ > most_elements) refuse(fmt::format("a list of {} elements", count));
    auto all = json::array();
    for (uint64_t i = 0; i < count; ++i) all.push_back(value(type, depth + 1));
    return all;
  }

  void entry() {
    const auto key = string(longest_key, "a key");
    if (key.empty()) refuse("a key without letters");
    if (content_.metadata.contains(key)) refuse(fmt::format("the key \"{}\" is there twice", key));
    const auto type = number<uint32_t>();
    content_.metadata[key] = value(type, 0);
  }

  void tensor() {
    GgufTensor made;
    made.name = string(longest_name, "a tensor's name");
    if (made.name.empty() || !names_.insert(made.name).second)
      refuse(fmt::format("the tensor \"{}\" is there twice, or has no name", made.name));
    const auto dimensions = number<uint32_t>();
    if (dimensions > most_dimensions) refuse(fmt::format("the tensor \"{}\" has {} dimensions", made.name, dimensions));
    for (uint32_t i = 0; i < dimensions; ++i) made.shape.insert(made.shape.begin(), number<uint64_t>());
    made.type = static_cast<GgmlType>(number<uint32_t>());
    offsets_.push_back(number<uint64_t>());
    sizes_.push_back(size_of(made));
    content_.tensors.push_back(std::move(made));
  }

  uint64_t size_of(const GgufTensor& tensor) const {
    const auto* layout = ggml_layout(tensor.type);
    if (!layout)
      fail(kind_,
           fmt::format("{}: the tensor \"{}\" is of the type {}, which is not read", file_, tensor.name,
                       static_cast<uint32_t>(tensor.type)),
           "take the file in F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K");
    uint64_t numbers = 1;
    for (const auto size : tensor.shape)
      if (size == 0 || __builtin_mul_overflow(numbers, size, &numbers) || numbers > uint64_t{1} << 62)
        refuse(fmt::format("the shape of \"{}\" is empty or too large", tensor.name));
    const auto row = tensor.shape.empty() ? 1 : tensor.shape.back();
    if (row % layout->numbers != 0)
      refuse(
          fmt::format("rows of {} numbers in \"{}\", expected whole blocks of {}", row, tensor.name, layout->numbers));
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(numbers / layout->numbers, layout->bytes, &bytes))
      refuse(fmt::format("the shape of \"{}\" is too large", tensor.name));
    return bytes;
  }

  uint64_t alignment() const {
    const auto found = content_.metadata.find("general.alignment");
    if (found == content_.metadata.end()) return 32;
    const bool good =
        found->is_number_unsigned() && *found >= 1 && *found <= 1 << 20 && std::has_single_bit(found->get<uint64_t>());
    if (!good) refuse("general.alignment is not a power of two up to 2^20");
    return found->get<uint64_t>();
  }

  void place_tensors() {
    const auto aligned = alignment();
    const auto start = (at_ + aligned - 1) / aligned * aligned;
    std::vector<std::pair<uint64_t, uint64_t>> spans;
    for (size_t i = 0; i < sizes_.size(); ++i) {
      auto& tensor = content_.tensors[i];
      const bool inside = start <= bytes_.size() && offsets_[i] <= bytes_.size() - start &&
                          sizes_[i] <= bytes_.size() - start - offsets_[i];
      if (offsets_[i] % aligned != 0 || !inside)
        refuse(fmt::format("the tensor \"{}\" is not aligned or lies outside the file", tensor.name));
      tensor.bytes = bytes_.substr(start + offsets_[i], sizes_[i]);
      spans.emplace_back(offsets_[i], offsets_[i] + sizes_[i]);
    }
    std::sort(spans.begin(), spans.end());
    for (size_t i = 1; i < spans.size(); ++i)
      if (spans[i].first < spans[i - 1].second) refuse("two tensors share bytes");
  }

  std::string_view bytes_;
  const std::string& file_;
  ErrorKind kind_;
  uint64_t at_ = 0, elements_ = 0;
  GgufContent content_;
  std::set<std::string> names_;
  std::vector<uint64_t> offsets_, sizes_;
};

}  // namespace

const GgmlLayout* ggml_layout(GgmlType type) {
  for (const auto& [known, layout] : layouts)
    if (known == type) return &layout;
  return nullptr;
}

GgufContent parse_gguf(std::string_view bytes, const std::string& file, ErrorKind kind) {
  return GgufParser(bytes, file, kind).run();
}

bool is_gguf(const std::filesystem::path& path) { return path.extension() == ".gguf"; }

}  // namespace antiphon
