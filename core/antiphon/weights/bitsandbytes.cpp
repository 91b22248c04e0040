#include <antiphon/weights/bitsandbytes.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>

#include <algorithm>
#include <cmath>

namespace antiphon::weights {
namespace {

using nlohmann::json;

const std::string kState = ".quant_state.bitsandbytes__";
constexpr int64_t kMostValues = int64_t{1} << 40;
constexpr int64_t kTogether = 1 << 22;  // values that are in float32 at a time

[[noreturn]] void fail_state(const std::string& name, const std::string& what) {
  fail(ErrorKind::weights, fmt::format("{}: 4-bit values of bitsandbytes: {}", shown(name), what),
       "save the model again, or take its original");
}

int64_t whole(const json& state, const std::string& name, const char* key, int64_t most) {
  const auto found = state.find(key);
  if (found == state.end() || !found->is_number_integer() || *found < 1 || *found > most)
    fail_state(name, fmt::format("the state's {} is not a whole number from 1 to {}", key, most));
  return found->get<int64_t>();
}

at::ScalarType dtype_in(const json& state, const std::string& name) {
  const auto found = state.find("dtype");
  const auto text = found != state.end() && found->is_string() ? found->get<std::string>() : std::string();
  if (text == "float32") return at::kFloat;
  if (text == "bfloat16") return at::kBFloat16;
  if (text == "float16") return at::kHalf;
  fail_state(name, "the state's dtype is none of float32, bfloat16 and float16");
}

at::Tensor part(const FindTensor& find, const std::string& name, const std::string& end, at::ScalarType dtype,
                int64_t count) {
  const auto found = find(name + end);
  if (!found) fail_state(name, fmt::format("'{}' is missing", shown(name + end)));
  if (found->scalar_type() != dtype || found->numel() != count)
    fail_state(name, fmt::format("'{}' has {} values of {}; expected {} of {}", shown(name + end), found->numel(),
                                 at::toString(found->scalar_type()), count, at::toString(dtype)));
  return found->reshape(-1);
}

int64_t blocks(int64_t values, int64_t block) { return (values + block - 1) / block; }

}  // namespace

std::optional<std::string> FourBits::matrix_of(const std::string& state_name) {
  const auto at = state_name.rfind(kState);
  return at == std::string::npos ? std::nullopt : std::optional(state_name.substr(0, at));
}

std::vector<std::string> FourBits::state_names(const std::string& name) {
  std::vector<std::string> all;
  for (const auto* end : {".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map"}) all.push_back(name + end);
  for (const auto* kind : {"nf4", "fp4"}) all.push_back(name + kState + kind);
  return all;
}

FourBits::FourBits(const std::string& name, const FindTensor& find) : name_(name) {
  const auto nf4 = find(name + kState + "nf4"), fp4 = find(name + kState + "fp4");
  if (nf4.has_value() == fp4.has_value()) fail_state(name, "its state is neither nf4 nor fp4");
  read_state(nf4 ? *nf4 : *fp4);
  int64_t values = 1;
  for (const auto size : sizes_) values *= size;
  packed_ = part(find, name, "", at::kByte, (values + 1) / 2);
  code_ = part(find, name, ".quant_map", at::kFloat, 16);
  const int64_t count = blocks(values, block_);
  absmax_ = part(find, name, ".absmax", nested_block_ ? at::kByte : at::kFloat, count);
  if (nested_block_ == 0) return;
  nested_absmax_ = part(find, name, ".nested_absmax", at::kFloat, blocks(count, nested_block_));
  nested_code_ = part(find, name, ".nested_quant_map", at::kFloat, 256);
}

// JSON in bytes.
void FourBits::read_state(const at::Tensor& bytes) {
  constexpr int64_t kMostBytes = 1 << 16, kLargestBlock = 1 << 20;
  if (bytes.scalar_type() != at::kByte || bytes.numel() > kMostBytes) fail_state(name_, "its state is not text");
  const auto text = bytes.contiguous();
  const auto* first = text.const_data_ptr<uint8_t>();
  const auto state = json::parse(first, first + text.numel(), nullptr, /*allow_exceptions=*/false);
  if (!state.is_object()) fail_state(name_, "its state is not a JSON object");
  const auto shape = state.find("shape");
  if (shape == state.end() || !shape->is_array() || shape->size() != 2)
    fail_state(name_, "the state's shape has not two sizes");
  for (const auto& size : *shape) {
    const bool good = size.is_number_integer() && size >= 1 && size <= kMostValues;
    if (!good) fail_state(name_, "the state's shape has a size that is none");
    sizes_.push_back(size.get<int64_t>());
  }
  if (sizes_[0] > kMostValues / sizes_[1]) fail_state(name_, "the state's shape is too large");
  dtype_ = dtype_in(state, name_);
  block_ = whole(state, name_, "blocksize", kLargestBlock);
  if (!state.contains("nested_blocksize")) return;
  nested_block_ = whole(state, name_, "nested_blocksize", kLargestBlock);
  const auto offset = state.find("nested_offset");
  if (offset == state.end() || !offset->is_number() || !std::isfinite(offset->get<double>()))
    fail_state(name_, "the state's nested_offset is not a number");
  offset_ = offset->get<double>();
}

// Of each block, float32.
at::Tensor FourBits::scales() const {
  if (nested_block_ == 0) return absmax_;
  const auto numbers = nested_code_.index_select(0, absmax_.to(at::kInt));
  const auto of_number = nested_absmax_.repeat_interleave(nested_block_).narrow(0, 0, numbers.size(0));
  return numbers * of_number + at::scalar_tensor(static_cast<float>(offset_), at::kFloat);
}

at::Tensor FourBits::values() const {
  const int64_t count = sizes_[0] * sizes_[1], together = std::max(block_, kTogether / block_ * block_);
  const auto y = at::empty({count}, at::TensorOptions().dtype(dtype_));
  const auto all = scales();
  for (int64_t begin = 0; begin < count; begin += together) {
    const int64_t n = std::min(together, count - begin), first = begin / block_;
    // From an even byte on: a block that is odd in size begins within one.
    const auto bytes = packed_.narrow(0, begin / 2, blocks(begin % 2 + n, 2));
    const auto numbers = at::stack({bytes.bitwise_right_shift(4), bytes.bitwise_and(15)}, 1).view(-1);
    const auto of_code = code_.index_select(0, numbers.narrow(0, begin % 2, n).to(at::kInt));
    const auto scale = all.narrow(0, first, blocks(n, block_)).repeat_interleave(block_).narrow(0, 0, n);
    y.narrow(0, begin, n).copy_(of_code * scale);
  }
  return y.view(sizes_);
}

}  // namespace antiphon::weights
