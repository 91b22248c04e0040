#include <antiphon/checkpoint/stored_tensor.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/json.h>

#include <algorithm>

namespace antiphon::checkpoint {
namespace {

constexpr const char* kFix = "use another checkpoint of the run";

// Where two boxes meet along one dimension: its first index and length (not above 0: nowhere).
struct Range {
  int64_t begin = 0, size = 0;
};
Range common(int64_t a, int64_t a_size, int64_t b, int64_t b_size) {
  const int64_t begin = std::max(a, b);
  return {begin, std::min(a + a_size, b + b_size) - begin};
}

std::vector<Range> common(const std::vector<int64_t>& a, at::IntArrayRef a_sizes, const std::vector<int64_t>& b,
                          at::IntArrayRef b_sizes) {
  std::vector<Range> ranges;
  for (size_t d = 0; d < a.size(); ++d) ranges.push_back(common(a[d], a_sizes[d], b[d], b_sizes[d]));
  return ranges;
}

bool empty(const std::vector<Range>& ranges) {
  return std::ranges::any_of(ranges, [](const Range& range) { return range.size <= 0; });
}

at::Tensor cut(at::Tensor x, const std::vector<Range>& ranges, const std::vector<int64_t>& begin) {
  for (size_t d = 0; d < ranges.size(); ++d)
    x = x.narrow(static_cast<int64_t>(d), ranges[d].begin - begin[d], ranges[d].size);
  return x;
}

}  // namespace

StoredTensor::StoredTensor(const at::Tensor& whole)
    : sizes_(whole.sizes().vec()), pieces_{{whole, std::vector<int64_t>(sizes_.size(), 0)}} {}

void StoredTensor::add(const at::Tensor& values, const Box& box) {
  bool fits = box.whole.size() == box.begin.size() && values.dim() == static_cast<int64_t>(box.whole.size()) &&
              (pieces_.empty() || (sizes_ == box.whole && pieces_[0].values.scalar_type() == values.scalar_type()));
  for (size_t d = 0; fits && d < box.whole.size(); ++d)
    fits =
        box.begin[d] >= 0 && box.whole[d] >= 0 && values.size(static_cast<int64_t>(d)) <= box.whole[d] - box.begin[d];
  if (!fits)
    fail(ErrorKind::weights,
         fmt::format("a piece [{}] at [{}] does not lie in a tensor [{}]", fmt::join(values.sizes(), ", "),
                     fmt::join(box.begin, ", "), fmt::join(box.whole, ", ")),
         kFix);
  sizes_ = box.whole;
  pieces_.push_back({values, box.begin});
}

void StoredTensor::check(const std::string& name) const {
  int64_t count = 0;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    count += pieces_[i].values.numel();
    for (size_t j = 0; j < i; ++j)
      if (!empty(common(pieces_[i].begin, pieces_[i].values.sizes(), pieces_[j].begin, pieces_[j].values.sizes())))
        fail(ErrorKind::weights, fmt::format("two pieces of '{}' hold the same elements", name), kFix);
  }
  double all = 1;  // without a limit
  for (const auto size : sizes_) all *= static_cast<double>(size);
  if (static_cast<double>(count) != all)
    fail(ErrorKind::weights, fmt::format("the pieces of '{}' hold {} of {} elements", name, count, all), kFix);
}

at::Tensor StoredTensor::whole() const { return read(std::vector<int64_t>(sizes_.size(), 0), sizes_); }

at::Tensor StoredTensor::read(const std::vector<int64_t>& begin, at::IntArrayRef sizes) const {
  if (sizes_.empty()) return pieces_.front().values;
  at::Tensor joined;
  for (const auto& piece : pieces_) {
    const auto ranges = common(begin, sizes, piece.begin, piece.values.sizes());
    if (empty(ranges)) continue;
    const auto found = cut(piece.values, ranges, piece.begin);
    if (found.sizes() == sizes) return found;
    if (!joined.defined()) joined = at::empty(sizes, piece.values.options());
    cut(joined, ranges, begin).copy_(found);
  }
  return joined.defined() ? joined : at::empty(sizes, pieces_.front().values.options());
}

at::Tensor StoredTensor::read(const Parameter& parameter) const {
  if (sizes_ != parameter.whole_sizes())
    fail(ErrorKind::weights,
         fmt::format("'{}' is [{}] in the checkpoint and [{}] here", parameter.name, fmt::join(sizes_, ", "),
                     fmt::join(parameter.whole_sizes(), ", ")),
         "use the config.toml of that run");
  return read(parameter.box ? parameter.box->begin : std::vector<int64_t>(sizes_.size(), 0), parameter.tensor->sizes());
}

std::string boxes_to_text(const Boxes& boxes) {
  auto json = nlohmann::json::object();
  for (const auto& [name, box] : boxes) json[name] = {{"whole", box.whole}, {"begin", box.begin}};
  return json.dump();
}

Boxes boxes_of_text(const std::string& text, const std::string& file) {
  Boxes boxes;
  const auto json = parse_json(text, {file, ErrorKind::weights, kFix});
  try {
    for (const auto& [name, box] : json.get_ref<const nlohmann::json::object_t&>())
      boxes[name] = {box.at("whole").get<std::vector<int64_t>>(), box.at("begin").get<std::vector<int64_t>>()};
  } catch (const nlohmann::json::exception&) {
    fail(ErrorKind::weights, fmt::format("{}: its metadata 'boxes' do not say where pieces lie", file), kFix);
  }
  return boxes;
}

}  // namespace antiphon::checkpoint
