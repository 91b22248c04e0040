#include <antiphon/weights/safetensors.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>

namespace antiphon::weights {
namespace {

constexpr std::pair<Dtype, at::ScalarType> scalar_types[] = {
    {Dtype::BOOL, at::kBool},
    {Dtype::U8, at::kByte},
    {Dtype::I8, at::kChar},
    {Dtype::F8_E5M2, at::kFloat8_e5m2},
    {Dtype::F8_E4M3, at::kFloat8_e4m3fn},
    {Dtype::F8_E8M0, at::kFloat8_e8m0fnu},
    {Dtype::F8_E4M3FNUZ, at::kFloat8_e4m3fnuz},
    {Dtype::F8_E5M2FNUZ, at::kFloat8_e5m2fnuz},
    {Dtype::I16, at::kShort},
    {Dtype::U16, at::kUInt16},
    {Dtype::F16, at::kHalf},
    {Dtype::BF16, at::kBFloat16},
    {Dtype::I32, at::kInt},
    {Dtype::U32, at::kUInt32},
    {Dtype::F32, at::kFloat},
    {Dtype::C64, at::kComplexFloat},
    {Dtype::F64, at::kDouble},
    {Dtype::I64, at::kLong},
    {Dtype::U64, at::kUInt64},
};

[[noreturn]] void fail_open(const std::filesystem::path& path, int code) {
  fail(ErrorKind::weights, fmt::format("cannot open {}: {}", path.string(), std::strerror(code)),
       "check the path and who may read it");
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

class SafetensorsFile::Mapping {
 public:
  explicit Mapping(const std::filesystem::path& path) {
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    struct stat info {};
    if (file.fd < 0 || ::fstat(file.fd, &info) != 0) fail_open(path, errno);
    if (!S_ISREG(info.st_mode))
      fail(ErrorKind::weights, path.string() + " is not a regular file", "give the path of a .safetensors file");
    size_ = static_cast<size_t>(info.st_size);
    if (size_ == 0) return;  // nothing to map; the parser reports the empty file
    // Writable but private: an in-place operation on a weight copies the page instead of ending the process.
    data_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.fd, 0);
    if (data_ == MAP_FAILED) fail_open(path, errno);
  }
  Mapping(const Mapping&) = delete;
  ~Mapping() {
    if (size_ > 0 && data_ != MAP_FAILED) ::munmap(data_, size_);
  }
  // The pages that lie wholly in [begin, end): others contain part of a neighbour.
  void forget(uint64_t begin, uint64_t end) const {
    const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)), first = (begin + page - 1) / page * page;
    if (first < end / page * page) ::madvise(data() + first, end / page * page - first, MADV_DONTNEED);
  }
  char* data() const { return static_cast<char*>(data_); }
  std::string_view bytes() const { return {data(), size_}; }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path),
      mapping_(std::make_shared<const Mapping>(path)),
      header_(parse_safetensors(mapping_->bytes(), path.string())) {
  index_.reserve(header_.tensors.size());
  for (size_t i = 0; i < header_.tensors.size(); ++i) index_.emplace(header_.tensors[i].name, i);
}

const TensorInfo& SafetensorsFile::info(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) fail(ErrorKind::weights, fmt::format("{} has no tensor '{}'", path_.string(), name));
  return header_.tensors[found->second];
}

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const auto& tensor = info(name);
  return view(tensor, {tensor.shape.begin(), tensor.shape.end()}, 0);
}

at::Tensor SafetensorsFile::slice(const std::string& name, int64_t begin, int64_t end) const {
  const auto& tensor = info(name);
  if (tensor.shape.empty() || begin < 0 || begin > end || static_cast<uint64_t>(end) > tensor.shape[0]) {
    fail(ErrorKind::weights, fmt::format("{}: rows [{}, {}) were asked of tensor '{}' of shape [{}]", path_.string(),
                                         begin, end, name, fmt::join(tensor.shape, ", ")));
  }
  std::vector<int64_t> sizes(tensor.shape.begin(), tensor.shape.end());
  sizes[0] = end - begin;
  const uint64_t row = tensor.shape[0] == 0 ? 0 : tensor.bytes() / tensor.shape[0];
  return view(tensor, std::move(sizes), static_cast<uint64_t>(begin) * row);
}

void SafetensorsFile::forget(const std::string& name) const {
  const auto& tensor = info(name);
  mapping_->forget(header_.data_start + tensor.begin, header_.data_start + tensor.end);
}

at::ScalarType scalar_type_of(const TensorInfo& info, const std::filesystem::path& path) {
  const auto* entry = std::find_if(std::begin(scalar_types), std::end(scalar_types),
                                   [&](const auto& row) { return row.first == info.dtype; });
  if (entry != std::end(scalar_types)) return entry->second;
  fail(ErrorKind::weights,
       fmt::format("{}: tensor '{}' has dtype {}, which is not supported", path.string(), info.name,
                   to_string(info.dtype)),
       "convert it to U8, F16, BF16 or F32");
}

at::Tensor SafetensorsFile::view(const TensorInfo& info, std::vector<int64_t> sizes, uint64_t offset) const {
  const auto type = scalar_type_of(info, path_);
  const int64_t item = static_cast<int64_t>(c10::elementSize(type));
  int64_t span = item, bytes = item;  // LibTorch computes strides as if empty dimensions had length 1
  for (const auto size : sizes) {
    if (size < 0 || __builtin_mul_overflow(span, std::max<int64_t>(size, 1), &span)) {
      fail(ErrorKind::weights, fmt::format("{}: tensor '{}' of shape [{}] is too large", path_.string(), info.name,
                                           fmt::join(info.shape, ", ")));
    }
    bytes *= size;
  }
  const auto options = at::TensorOptions().dtype(type);
  if (bytes == 0) return at::empty(sizes, options);
  char* data = mapping_->data() + header_.data_start + info.begin + offset;
  if (reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(item) == 0) {
    return at::from_blob(
        data, sizes, [keep = mapping_](void*) {}, options);
  }
  auto copy = at::empty(sizes, options);
  std::memcpy(copy.data_ptr(), data, static_cast<size_t>(bytes));
  return copy;
}

Dtype dtype_of(at::ScalarType type, const std::string& tensor_name) {
  for (const auto& [dtype, scalar] : scalar_types)
    if (scalar == type) return dtype;
  fail(ErrorKind::weights,
       fmt::format("tensor '{}' has type {}, which safetensors cannot hold", tensor_name, c10::toString(type)));
}

uint64_t stored_bytes(const at::Tensor& tensor) {
  return static_cast<uint64_t>(tensor.numel()) * tensor.element_size();
}

}  // namespace antiphon::weights
