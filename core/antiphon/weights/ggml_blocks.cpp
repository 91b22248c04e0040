#include <antiphon/weights/ggml_blocks.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

namespace antiphon::weights {
namespace {

using Byte = unsigned char;
using Reader = void (*)(const Byte* block, float* out);

float half_at(const Byte* at) {
  uint16_t bits = 0;
  std::memcpy(&bits, at, 2);
  return static_cast<float>(c10::Half(bits, c10::Half::from_bits()));
}
uint32_t word_at(const Byte* at) {
  uint32_t word = 0;
  std::memcpy(&word, at, 4);
  return word;
}

void read_f32(const Byte* block, float* out) { std::memcpy(out, block, 4); }
void read_f16(const Byte* block, float* out) { *out = half_at(block); }
void read_bf16(const Byte* block, float* out) {
  *out = std::bit_cast<float>(static_cast<uint32_t>(block[0] | block[1] << 8) << 16);
}

void read_q8_0(const Byte* block, float* out) {
  const float d = half_at(block);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<int8_t>(block[2 + i])) * d;
}

// 32 numbers of 4 bits, the low halves first, and a fifth bit each from `high`.
int five_bits(const Byte* low, uint32_t high, int i) {
  const int half = i < 16 ? low[i] & 15 : low[i - 16] >> 4;
  return half | static_cast<int>(high >> i & 1) << 4;
}
void read_q4_0(const Byte* block, float* out) {
  const float d = half_at(block);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(five_bits(block + 2, 0, i) - 8);
}
void read_q4_1(const Byte* block, float* out) {
  const float d = half_at(block), m = half_at(block + 2);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(five_bits(block + 4, 0, i)) + m;
}
void read_q5_0(const Byte* block, float* out) {
  const float d = half_at(block);
  const auto high = word_at(block + 2);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(five_bits(block + 6, high, i) - 16);
}
void read_q5_1(const Byte* block, float* out) {
  const float d = half_at(block), m = half_at(block + 2);
  const auto high = word_at(block + 4);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(five_bits(block + 8, high, i)) + m;
}

// Scale and minimum of the i-th 32 of 256 numbers: 6 bits each of 12 bytes.
std::pair<float, float> scale_at(const Byte* s, int i) {
  const int scale = i < 4 ? s[i] & 63 : (s[i + 4] & 15) | (s[i - 4] >> 2 & 48);
  const int least = i < 4 ? s[i + 4] & 63 : s[i + 4] >> 4 | (s[i] >> 2 & 48);
  return {static_cast<float>(scale), static_cast<float>(least)};
}
// `high`: 32 bytes with a fifth bit of each number, one bit of a byte for each 32; or none.
void read_k(const Byte* block, const Byte* high, const Byte* low, float* out) {
  const float d = half_at(block), m = half_at(block + 2);
  for (int part = 0; part < 8; ++part) {
    const auto [scale, least] = scale_at(block + 4, part);
    const float step = d * scale, offset = m * least;
    for (int i = 0; i < 32; ++i) {
      const int byte = low[part / 2 * 32 + i], four = part % 2 ? byte >> 4 : byte & 15;
      const int number = high ? four | (high[i] >> part & 1) << 4 : four;
      out[part * 32 + i] = step * static_cast<float>(number) - offset;
    }
  }
}
void read_q4_k(const Byte* block, float* out) { read_k(block, nullptr, block + 16, out); }
void read_q5_k(const Byte* block, float* out) { read_k(block, block + 16, block + 48, out); }

// Each 128 numbers: 64 bytes of low halves, 32 bytes of the two bits above.
void read_q6_k(const Byte* block, float* out) {
  const float d = half_at(block + 208);
  for (int i = 0; i < 256; ++i) {
    const int part = i / 128, place = i % 128;
    const int byte = block[part * 64 + place % 64], four = place < 64 ? byte & 15 : byte >> 4;
    const int two = block[128 + part * 32 + place % 32] >> (place / 32 * 2) & 3;
    const float step = d * static_cast<float>(static_cast<int8_t>(block[192 + i / 16]));
    out[i] = step * static_cast<float>((four | two << 4) - 32);
  }
}

constexpr std::pair<GgmlType, Reader> readers[] = {
    {GgmlType::F32, read_f32},   {GgmlType::F16, read_f16},   {GgmlType::BF16, read_bf16}, {GgmlType::Q8_0, read_q8_0},
    {GgmlType::Q4_0, read_q4_0}, {GgmlType::Q4_1, read_q4_1}, {GgmlType::Q5_0, read_q5_0}, {GgmlType::Q5_1, read_q5_1},
    {GgmlType::Q4_K, read_q4_k}, {GgmlType::Q5_K, read_q5_k}, {GgmlType::Q6_K, read_q6_k}};

Reader reader_of(GgmlType type) {
  for (const auto& [known, reader] : readers)
    if (known == type) return reader;
  return nullptr;
}

void put_half(std::string& out, float number) {
  const auto bits = c10::Half(number).x;
  out.append(reinterpret_cast<const char*>(&bits), 2);
}

// Half away from zero, as C's roundf.
void write_q8_0(std::span<const float> numbers, std::string& out) {
  float largest = 0;
  for (const float number : numbers) largest = std::max(largest, std::abs(number));
  const float d = largest / 127, inverse = d == 0 ? 0 : 1 / d;
  put_half(out, d);
  for (const float number : numbers) out += static_cast<char>(static_cast<int8_t>(std::round(number * inverse)));
}

// The scale is that of the number farthest from zero, which becomes -8.
void write_q4_0(std::span<const float> numbers, std::string& out) {
  float farthest = 0;
  for (const float number : numbers)
    if (std::abs(number) > std::abs(farthest)) farthest = number;
  const float d = farthest / -8, inverse = d == 0 ? 0 : 1 / d;
  put_half(out, d);
  const auto four = [&](size_t i) {
    const float scaled = numbers[i] * inverse;
    return std::min(15, static_cast<int>(scaled + 8.5F));
  };
  for (size_t i = 0; i < 16; ++i) out += static_cast<char>(four(i) | four(i + 16) << 4);
}

void write_block(GgmlType type, std::span<const float> numbers, std::string& out) {
  if (type == GgmlType::Q8_0) return write_q8_0(numbers, out);
  if (type == GgmlType::Q4_0) return write_q4_0(numbers, out);
  if (type == GgmlType::F16) return put_half(out, numbers[0]);
  if (type == GgmlType::BF16) {
    const auto bits = c10::BFloat16(numbers[0]).x;
    out.append(reinterpret_cast<const char*>(&bits), 2);
    return;
  }
  out.append(reinterpret_cast<const char*>(numbers.data()), 4);
}

}  // namespace

bool has_blocks(GgmlType type) { return reader_of(type) != nullptr; }

void read_blocks(GgmlType type, std::string_view bytes, std::span<float> out) {
  const auto layout = *ggml_layout(type);
  const auto reader = reader_of(type);
  const auto* block = reinterpret_cast<const Byte*>(bytes.data());
  for (size_t i = 0; i + layout.numbers <= out.size(); i += layout.numbers, block += layout.bytes)
    reader(block, out.data() + i);
}

std::string write_blocks(GgmlType type, std::span<const float> numbers) {
  const auto layout = *ggml_layout(type);
  std::string out;
  out.reserve(numbers.size() / layout.numbers * layout.bytes);
  for (size_t i = 0; i + layout.numbers <= numbers.size(); i += layout.numbers)
    write_block(type, numbers.subspan(i, layout.numbers), out);
  return out;
}

}  // namespace antiphon::weights
