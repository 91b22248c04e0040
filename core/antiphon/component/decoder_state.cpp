#include <antiphon/component/decoder_state.h>

#include <sys/mman.h>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <algorithm>
#include <utility>

namespace antiphon {
namespace {

// Large ones on the CPU take memory only as they are written: there is room for the longest answers that may come, and
// most are short.
at::Tensor zeros(at::IntArrayRef sizes, const at::TensorOptions& options) {
  constexpr size_t large = size_t{1} << 20;
  const size_t bytes = static_cast<size_t>(c10::multiply_integers(sizes)) * options.dtype().itemsize();
  if (!options.device().is_cpu() || bytes < large) return at::zeros(sizes, options);
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) return at::zeros(sizes, options);
  return at::from_blob(
      data, sizes, [bytes](void* begin) { ::munmap(begin, bytes); }, options);
}

}  // namespace

StateShape state_shape(const KvShape& kv) {
  return StateShape(static_cast<size_t>(kv.layers), LayerState{kv.kv_heads, kv.head_size});
}

KvShape kv_shape(const StateShape& shape) {
  const auto alike = [&](const LayerState& one) {
    return one.kv_heads == shape[0].kv_heads && one.head_size == shape[0].head_size && one.kv_heads > 0 &&
           !one.shares && one.recurrent.empty();
  };
  if (shape.empty() || !std::ranges::all_of(shape, alike)) return {};
  return {static_cast<int64_t>(shape.size()), shape[0].kv_heads, shape[0].head_size};
}

int64_t DecoderState::blocks_for(int64_t tokens, int64_t block_size) { return (tokens + block_size - 1) / block_size; }

DecoderState::DecoderState(const StateShape& shape, int64_t blocks, at::TensorOptions options, int64_t block_size)
    : shape_(shape),
      block_size_(block_size),
      device_(options.device()),
      keys_(shape.size()),
      values_(shape.size()),
      holders_(static_cast<size_t>(blocks), 0) {
  c10::InferenceMode normal(false);  // it may outlive the scope of such a mode
  for (size_t layer = 0; layer < shape.size(); ++layer) {
    const auto& kept = shape[layer];
    if (kept.shares && (*kept.shares >= layer || !keys_[*kept.shares].defined()))
      fail(ErrorKind::internal,
           fmt::format("layer {} shares the keys and values of layer {}, which is not an earlier one "
                       "that has some",
                       layer, *kept.shares));
    for (auto* all : {&keys_, &values_})
      if (kept.shares)
        (*all)[layer] = (*all)[*kept.shares];
      else if (kept.kv_heads > 0)
        (*all)[layer] = zeros({blocks, kept.kv_heads, block_size, kept.head_size}, options);
    first_tensor_.push_back(begin_tensors_.size());
    for (const auto& sizes : kept.recurrent) begin_tensors_.push_back(at::zeros(sizes, options.dtype(at::kFloat)));
  }
  for (int64_t block = blocks; block-- > 0;) free_.push_back(block);
}

void DecoderState::begin_rows_with(const at::Tensor& kv) {
  if (!rows_.empty())
    fail(ErrorKind::internal, "rows of a decoder's state are to begin with something, and there are some");
  if (kv_shape(shape_).layers != kv.size(0))
    fail(ErrorKind::internal,
         fmt::format("rows of a decoder's state of {} layers, which may not be alike, are to begin "
                     "with keys and values of {}",
                     shape_.size(), kv.size(0)));
  const int64_t row = unused_row(), tokens = kv.size(2);
  reserve(row, tokens);
  std::vector<int64_t> slots;
  for (int64_t i = 0; i < tokens; ++i) slots.push_back(slot(row, i));
  const auto to = at::tensor(slots, at::kLong).to(kv.device());
  const auto block = to.div(block_size_, "floor"), place = to.remainder(block_size_);
  for (int64_t layer = 0; layer < kv.size(0); ++layer)
    for (int64_t i : {0, 1})
      (i == 0 ? keys_ : values_)[static_cast<size_t>(layer)].transpose(1, 2).index_put_(
          {block, place}, kv[layer][i].to(keys_[0].scalar_type()));
  advance(row, tokens);
  begin_ = row;
}

int64_t DecoderState::add_row() { return begin_ < 0 ? unused_row() : fork(begin_); }

int64_t DecoderState::unused_row() {
  const auto unused = std::ranges::find(rows_, false, &Row::used);
  const auto row = unused - rows_.begin();
  if (unused == rows_.end()) rows_.emplace_back();
  rows_[static_cast<size_t>(row)] = {{}, 0, true, 0, begin_tensors_};
  return row;
}

int64_t DecoderState::fork(int64_t row) {
  const auto copy = static_cast<size_t>(unused_row());
  rows_[copy] = rows_[static_cast<size_t>(row)];
  rows_[copy].next.clear();
  // What was reserved beyond its tokens is not the copy's.
  rows_[copy].blocks.resize(static_cast<size_t>(blocks_for(rows_[copy].length, block_size_)));
  for (const auto block : rows_[copy].blocks) ++holders_[static_cast<size_t>(block)];
  return static_cast<int64_t>(copy);
}

void DecoderState::drop_row(int64_t row) {
  truncate(row, 0);
  rows_[static_cast<size_t>(row)].used = false;
}

int64_t DecoderState::reachable(int64_t row, int64_t tokens) const {
  const auto& r = rows_[static_cast<size_t>(row)];
  if (tokens >= r.length) return r.length;
  if (!has_recurrent()) return tokens;
  int64_t best = 0;
  for (const auto& place : r.kept)
    if (place.length <= tokens) best = std::max(best, place.length);
  return best;
}

void DecoderState::keep_place(int64_t row) {
  auto& r = rows_[static_cast<size_t>(row)];
  if (!has_recurrent() || r.length == 0 || (!r.kept.empty() && r.kept.back().length == r.length)) return;
  if (r.kept.size() == kKeptPlaces) r.kept.erase(r.kept.begin());
  r.kept.push_back({r.length, r.tensors});
}

// The tensors as they were after so many tokens.
void DecoderState::put_back(Row& row, int64_t tokens) {
  if (!has_recurrent()) return;
  row.next.clear();
  std::erase_if(row.kept, [&](const Place& place) { return place.length > tokens; });
  if (tokens == 0)
    row.tensors = begin_tensors_;
  else if (tokens < row.length)
    row.tensors = row.kept.back().tensors;
}

void DecoderState::truncate(int64_t row, int64_t tokens) {
  auto& r = rows_[static_cast<size_t>(row)];
  if (tokens < r.length && reachable(row, tokens) != tokens)
    fail(ErrorKind::internal, fmt::format("a row of {} tokens is to be cut to {}; it can be cut to {} at most",
                                          r.length, tokens, reachable(row, tokens)));
  put_back(r, std::min(r.length, tokens));
  r.length = std::min(r.length, tokens);
  while (static_cast<int64_t>(r.blocks.size()) > blocks_for(r.length, block_size_)) {
    give_back(r.blocks.back());
    r.blocks.pop_back();
  }
}

void DecoderState::reserve(int64_t row, int64_t tokens) {
  auto& r = rows_[static_cast<size_t>(row)];
  const int64_t held = static_cast<int64_t>(r.blocks.size()),
                missing = std::max<int64_t>(0, blocks_for(r.length + tokens, block_size_) - held);
  const bool copies = r.length % block_size_ > 0 && tokens > 0 &&
                      holders_[static_cast<size_t>(r.blocks[static_cast<size_t>(r.length / block_size_)])] > 1;
  if (missing + (copies ? 1 : 0) > free_blocks())
    fail(ErrorKind::internal,
         fmt::format(
             "a row of the decoder's state holds {} tokens and gets {} more, for which {} blocks of {} are missing; {} "
             "are free",
             r.length, tokens, missing, block_size_, free_blocks()));
  if (copies) own_last_block(r);
  for (int64_t i = 0; i < missing; ++i) r.blocks.push_back(take_block());
}

void DecoderState::advance(int64_t row, int64_t tokens) {
  auto& r = rows_[static_cast<size_t>(row)];
  r.length += tokens;
  if (!r.next.empty()) r.tensors = std::exchange(r.next, {});
}

double DecoderState::next_position(int64_t row) const {
  const auto& r = rows_[static_cast<size_t>(row)];
  return static_cast<double>(r.length) + r.ahead;
}

void DecoderState::set_next_position(int64_t row, double position) {
  auto& r = rows_[static_cast<size_t>(row)];
  r.ahead = position - static_cast<double>(r.length);
}

int64_t DecoderState::slot(int64_t row, int64_t position) const {
  return blocks(row)[static_cast<size_t>(position / block_size_)] * block_size_ + position % block_size_;
}

at::Tensor DecoderState::gathered(const at::Tensor& keys_or_values, int64_t row, int64_t tokens) const {
  const auto& all = blocks(row);
  const std::vector<int64_t> used(all.begin(), all.begin() + blocks_for(tokens, block_size_));
  const auto of_row = keys_or_values.index_select(0, at::tensor(used, at::kLong).to(keys_or_values.device()));
  return of_row.transpose(0, 1).reshape({keys_or_values.size(1), -1, keys_or_values.size(3)}).narrow(1, 0, tokens);
}

const at::Tensor& DecoderState::recurrent(size_t layer, size_t which, int64_t row) const {
  return rows_[static_cast<size_t>(row)].tensors.at(first_tensor_.at(layer) + which);
}

void DecoderState::set_recurrent(size_t layer, size_t which, int64_t row, at::Tensor value) {
  auto& r = rows_[static_cast<size_t>(row)];
  if (r.next.empty()) r.next = r.tensors;
  r.next.at(first_tensor_.at(layer) + which) = std::move(value);
}

int64_t DecoderState::take_block() {
  const int64_t block = free_.back();
  free_.pop_back();
  holders_[static_cast<size_t>(block)] = 1;
  return block;
}

void DecoderState::give_back(int64_t block) {
  if (--holders_[static_cast<size_t>(block)] == 0) free_.push_back(block);
}

// The block into which the next token goes, which others hold, too.
void DecoderState::own_last_block(Row& row) {
  auto& block = row.blocks[static_cast<size_t>(row.length / block_size_)];
  const int64_t own = take_block();
  for (size_t layer = 0; layer < shape_.size(); ++layer)
    if (keys_[layer].defined() && !shape_[layer].shares)
      for (auto* all : {&keys_, &values_}) (*all)[layer][own].copy_((*all)[layer][block]);
  give_back(block);
  block = own;
}

}  // namespace antiphon
