#include <antiphon/weights/gguf_write.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/weights/ggml_blocks.h>
#include <antiphon/weights/output_file.h>

namespace antiphon::weights {
namespace {

constexpr uint64_t gguf_alignment = 32;  // what files have that do not say

template <class T>
void append_number(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void append_text(std::string& out, std::string_view text) {
  append_number<uint64_t>(out, text.size());
  out += text;
}
uint64_t aligned(uint64_t size) { return (size + gguf_alignment - 1) / gguf_alignment * gguf_alignment; }

uint64_t numbers_in(const GgufOutput& output) {
  uint64_t numbers = 1;
  for (const auto size : output.tensor.sizes) numbers *= static_cast<uint64_t>(size);
  return numbers;
}
uint64_t bytes_in(const GgufOutput& output) {
  const auto layout = *ggml_layout(output.type);
  const auto row = output.tensor.sizes.empty() ? 1 : static_cast<uint64_t>(output.tensor.sizes.back());
  if (row % layout.numbers != 0)
    fail(ErrorKind::weights, fmt::format("'{}' has rows of {} numbers, which are not whole blocks of {}",
                                         output.tensor.name, row, layout.name));
  return numbers_in(output) / layout.numbers * layout.bytes;
}

std::string head_of(const GgufMetadata& metadata, const std::vector<GgufOutput>& outputs) {
  std::string head = "GGUF";
  append_number<uint32_t>(head, 3);
  append_number<uint64_t>(head, outputs.size());
  append_number<uint64_t>(head, metadata.entries());
  head += metadata.bytes();
  uint64_t offset = 0;
  for (const auto& output : outputs) {
    append_text(head, output.tensor.name);
    append_number<uint32_t>(head, static_cast<uint32_t>(output.tensor.sizes.size()));
    for (auto size = output.tensor.sizes.rbegin(); size != output.tensor.sizes.rend(); ++size)
      append_number<uint64_t>(head, static_cast<uint64_t>(*size));
    append_number<uint32_t>(head, static_cast<uint32_t>(output.type));
    append_number<uint64_t>(head, offset);
    offset += aligned(bytes_in(output));
  }
  head.resize(aligned(head.size()));
  return head;
}

std::string blocks_of(const GgufOutput& output) {
  const auto values = output.tensor.values().to(at::kCPU, at::kFloat).contiguous();
  if (!values.isfinite().all().item<bool>())
    fail(ErrorKind::weights, fmt::format("'{}' has numbers that are not finite", output.tensor.name),
         "train again from a checkpoint before that, or export another one");
  constexpr float kMostHalf = 65504;
  if (output.type == GgmlType::F16 && values.numel() > 0 && values.abs().max().item<float>() > kMostHalf)
    fail(ErrorKind::weights, fmt::format("'{}' has numbers beyond those of fp16", output.tensor.name),
         "export with --dtype bf16 or fp32");
  auto bytes = write_blocks(output.type, {values.const_data_ptr<float>(), static_cast<size_t>(values.numel())});
  bytes.resize(aligned(bytes.size()));
  return bytes;
}

}  // namespace

void GgufMetadata::begin(std::string_view key, uint32_t type) {
  append_text(bytes_, key);
  append_number(bytes_, type);
  ++entries_;
}

void GgufMetadata::put(std::string_view key, std::string_view text) {
  begin(key, 8);
  append_text(bytes_, text);
}
void GgufMetadata::put(std::string_view key, bool flag) {
  begin(key, 7);
  append_number<uint8_t>(bytes_, flag ? 1 : 0);
}
void GgufMetadata::put(std::string_view key, uint32_t number) {
  begin(key, 4);
  append_number(bytes_, number);
}
void GgufMetadata::put(std::string_view key, float number) {
  begin(key, 6);
  append_number(bytes_, number);
}
void GgufMetadata::put(std::string_view key, const std::vector<std::string>& texts) {
  begin(key, 9);
  append_number<uint32_t>(bytes_, 8);
  append_number<uint64_t>(bytes_, texts.size());
  for (const auto& text : texts) append_text(bytes_, text);
}
void GgufMetadata::put(std::string_view key, const std::vector<float>& numbers) {
  begin(key, 9);
  append_number<uint32_t>(bytes_, 6);
  append_number<uint64_t>(bytes_, numbers.size());
  for (const float number : numbers) append_number(bytes_, number);
}
void GgufMetadata::put(std::string_view key, const std::vector<int32_t>& numbers) {
  begin(key, 9);
  append_number<uint32_t>(bytes_, 5);
  append_number<uint64_t>(bytes_, numbers.size());
  for (const int32_t number : numbers) append_number(bytes_, number);
}

void save_gguf(const std::filesystem::path& path, const GgufMetadata& metadata,
               const std::vector<GgufOutput>& tensors) {
  const auto head = head_of(metadata, tensors);
  OutputFile file(path);
  file.write(head.data(), head.size());
  for (const auto& output : tensors) {
    const auto bytes = blocks_of(output);
    file.write(bytes.data(), bytes.size());
  }
  file.flush();
  file.commit();
}

}  // namespace antiphon::weights
