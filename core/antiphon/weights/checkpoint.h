// A model's tensors, wherever they are stored: a Hugging Face folder (single file or shards with an index) or one file.
// Of matrices in bitsandbytes' 4 bits (bitsandbytes.h) it gives what these stand for.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <vector>

#include <antiphon/weights/lazy_tensor.h>

namespace antiphon::weights {

// The names under which a folder's tensors stand, as one file or as the index of several; the first that is there.
inline constexpr std::array<std::pair<const char*, const char*>, 2> kCheckpointNames{
    {{"model.safetensors", "model.safetensors.index.json"}, {"pytorch_model.bin", "pytorch_model.bin.index.json"}}};

// Whether this is a file, not a folder, of a kind that a Checkpoint reads, by its name: nothing is read.
bool is_checkpoint_file(const std::filesystem::path& path);
// Whether a folder has a file of tensors, or the index of several.
bool has_checkpoint(const std::filesystem::path& folder);

// How many tensors of a folder have other names than those behind the prefix; 0 without a file.
int64_t tensors_outside(const std::filesystem::path& folder, const std::string& prefix);

class Checkpoint {
 public:
  // `path` is a folder with model.safetensors or model.safetensors.index.json, or else with pytorch_model.bin or its
  // index; or a .safetensors file; or one of torch.save() (.bin, .pt, .pth, .ckpt), of which nothing is run
  // (torch/torch_file.h); or a .nemo archive (nemo.h); or a .gguf file of a language model (gguf_checkpoint.h).
  // Error(weights): nothing there, a missing or damaged shard, an index that names files outside the folder (a Hugging
  // Face cache's links into its own blobs/ are allowed), a tensor in two shards, an index entry whose shard lacks the
  // tensor.
  explicit Checkpoint(const std::filesystem::path& path);
  // Of tensors from elsewhere, which messages call `path`. Error(weights) for types that files do not have.
  Checkpoint(const std::filesystem::path& path, const LazyTensors& tensors);

  const std::filesystem::path& path() const { return path_; }
  // In the order of files and of offsets within each.
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const { return owner_.contains(name) || given_.contains(name); }
  const TensorInfo& info(const std::string& name) const;
  // See SafetensorsFile. The tensors keep their file open.
  at::Tensor tensor(const std::string& name) const;
  at::Tensor slice(const std::string& name, int64_t begin, int64_t end) const;
  void forget(const std::string& name) const;
  // Bytes of all tensors.
  uint64_t total_bytes() const { return total_bytes_; }
  // What the caller should tell the operator: an index whose metadata.total_size is not the sum (harmless, and found
  // in published models).
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  void open_folder();
  void open_shards(const std::filesystem::path& index);
  void add(const std::filesystem::path& file);
  void add(const std::filesystem::path& file, const LazyTensors& tensors);
  void note(const std::string& name, const std::filesystem::path& file);
  void read_four_bits();
  const SafetensorsFile& file_of(const std::string& name) const;
  struct Given {
    TensorInfo info;
    std::function<at::Tensor()> values;
    std::function<void()> forget = {};
  };
  const Given* given(const std::string& name) const;
  std::filesystem::path path_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::vector<std::string> names_, warnings_;
  std::unordered_map<std::string, std::filesystem::path> places_;  // the file of each
  std::unordered_map<std::string, const SafetensorsFile*> owner_;
  std::unordered_map<std::string, Given> given_;
  uint64_t total_bytes_ = 0;
};

// A file's tensor under another name, read when its turn comes.
LazyTensor lazily(const std::shared_ptr<const Checkpoint>& file, const std::string& tensor, const std::string& name);

// Writes model.safetensors, or shards of at most `max_shard_bytes` of tensors (one larger tensor has its own) with
// model.safetensors.index.json. All files are complete on the disk before the first takes its name; then files of an
// earlier save that are not part of this one are removed. The folder is created.
void save_checkpoint(const std::filesystem::path& folder, const NamedTensors& tensors,
                     uint64_t max_shard_bytes = 5'000'000'000);

}  // namespace antiphon::weights
