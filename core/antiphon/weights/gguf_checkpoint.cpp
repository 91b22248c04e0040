#include <antiphon/weights/gguf_checkpoint.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/kernels/for_rows.h>
#include <antiphon/weights/ggml_blocks.h>
#include <antiphon/weights/gguf_names.h>

namespace antiphon::weights {
namespace {

at::ScalarType stored_type(GgmlType type) {
  if (type == GgmlType::F16) return at::kHalf;
  return type == GgmlType::BF16 ? at::kBFloat16 : at::kFloat;
}

at::Tensor values_of(const GgufTensor& tensor, const std::vector<int64_t>& sizes) {
  auto values = at::empty(sizes, stored_type(tensor.type));
  if (values.nbytes() == tensor.bytes.size()) {
    std::memcpy(values.mutable_data_ptr(), tensor.bytes.data(), tensor.bytes.size());
    return values;
  }
  const auto layout = *ggml_layout(tensor.type);
  const auto blocks = static_cast<int64_t>(tensor.bytes.size() / layout.bytes);
  auto* out = values.mutable_data_ptr<float>();
  kernels::share_rows(blocks, static_cast<int64_t>(layout.numbers), [&](int64_t begin, int64_t end) {
    const auto first = static_cast<size_t>(begin), count = static_cast<size_t>(end - begin);
    read_blocks(tensor.type, tensor.bytes.substr(first * layout.bytes, count * layout.bytes),
                {out + first * layout.numbers, count * layout.numbers});
  });
  return values;
}

// The rows of each head in pairs (i, i + half) side by side -> the first halves, then the second ones.
at::Tensor in_halves(const at::Tensor& rows, int64_t heads) {
  const auto half = rows.size(0) / heads / 2;
  return rows.reshape({heads, half, 2, -1}).transpose(1, 2).reshape(rows.sizes());
}

int64_t heads_of(const GgufFile& file, const GgufTensor& tensor) {
  if (!gguf_architecture(file).interleaved || tensor.shape.empty()) return 0;
  const auto heads = gguf_integer(file, "attention.head_count", 1);
  const auto own = is_query(tensor.name) ? heads
                   : is_key(tensor.name) ? gguf_integer(file, "attention.head_count_kv", 1, heads)
                                         : 0;
  if (own > 0 && tensor.shape[0] % static_cast<uint64_t>(2 * own) != 0)
    fail(ErrorKind::weights,
         fmt::format("{}: '{}' has {} rows for {} heads", file.path().string(), tensor.name, tensor.shape[0], own));
  return own;
}

void check(const GgufFile& file, const GgufTensor& tensor, std::vector<std::string>& unexpected) {
  if (!published_name(gguf_architecture(file), tensor.name)) unexpected.push_back(tensor.name);
  if (!has_blocks(tensor.type))
    fail(ErrorKind::weights,
         fmt::format("{}: '{}' is in {}, which is not read", file.path().string(), tensor.name,
                     ggml_layout(tensor.type)->name),
         "take the file in F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K");
}

// As it was published, before llama.cpp's converter: norms of Gemma around zero.
at::Tensor published(const at::Tensor& values, int64_t heads, bool has_one_more) {
  const auto rows = heads > 0 ? in_halves(values, heads) : values;
  return has_one_more ? rows - 1 : rows;
}

}  // namespace

LazyTensors gguf_tensors(const std::filesystem::path& path) {
  const auto file = std::make_shared<const GgufFile>(path, ErrorKind::weights);
  const auto& architecture = gguf_architecture(*file);
  LazyTensors all;
  std::vector<std::string> unexpected;
  for (const auto& tensor : file->tensors()) {
    if (is_setting(architecture, tensor.name)) continue;
    check(*file, tensor, unexpected);
    std::vector<int64_t> sizes(tensor.shape.begin(), tensor.shape.end());
    const auto heads = heads_of(*file, tensor);
    const bool one_more = architecture.adds_one_to_norms && tensor.name.ends_with("norm.weight");
    all.push_back(
        {published_name(architecture, tensor.name).value_or(tensor.name), stored_type(tensor.type), sizes,
         [file, &tensor, sizes, heads, one_more] { return published(values_of(tensor, sizes), heads, one_more); }});
  }
  if (!unexpected.empty())
    fail(ErrorKind::weights,
         fmt::format(
             "{}: {} of {} tensors are none of a {} model's: {}", path.string(), unexpected.size(),
             file->tensors().size(), gguf_architecture(*file).name,
             fmt::join(unexpected.begin(), unexpected.begin() + std::min<ptrdiff_t>(20, std::ssize(unexpected)), ", ")),
         "take the model's Hugging Face directory");
  return all;
}

}  // namespace antiphon::weights
