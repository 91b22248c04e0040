#include <antiphon/component/decoder_state.h>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <algorithm>

namespace antiphon {

int64_t DecoderState::blocks_for(int64_t tokens, int64_t block_size) { return (tokens + block_size - 1) / block_size; }

DecoderState::DecoderState(const KvShape& shape, int64_t blocks, at::TensorOptions options, int64_t block_size)
    : shape_(shape), block_size_(block_size), holders_(static_cast<size_t>(blocks), 0) {
  c10::InferenceMode normal(false);  // it may outlive the scope of such a mode
  for (int64_t layer = 0; layer < shape.layers; ++layer)
    for (auto* all : {&keys_, &values_})
      all->push_back(at::zeros({blocks, shape.kv_heads, block_size, shape.head_size}, options));
  for (int64_t block = blocks; block-- > 0;) free_.push_back(block);
}

void DecoderState::begin_rows_with(const at::Tensor& kv) {
  if (!rows_.empty()) fail(ErrorKind::internal, "rows of the KV cache are to begin with something, and there are some");
  const int64_t row = unused_row(), tokens = kv.size(2);
  reserve(row, tokens);
  std::vector<int64_t> slots;
  for (int64_t i = 0; i < tokens; ++i) slots.push_back(slot(row, i));
  const auto to = at::tensor(slots, at::kLong).to(kv.device());
  const auto block = to.div(block_size_, "floor"), place = to.remainder(block_size_);
  for (int64_t layer = 0; layer < shape_.layers; ++layer)
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
  rows_[static_cast<size_t>(row)] = {{}, 0, true};
  return row;
}

int64_t DecoderState::fork(int64_t row) {
  const auto copy = static_cast<size_t>(unused_row());
  rows_[copy] = rows_[static_cast<size_t>(row)];
  // What was reserved beyond its tokens is not the copy's.
  rows_[copy].blocks.resize(static_cast<size_t>(blocks_for(rows_[copy].length, block_size_)));
  for (const auto block : rows_[copy].blocks) ++holders_[static_cast<size_t>(block)];
  return static_cast<int64_t>(copy);
}

void DecoderState::drop_row(int64_t row) {
  truncate(row, 0);
  rows_[static_cast<size_t>(row)].used = false;
}

void DecoderState::truncate(int64_t row, int64_t tokens) {
  auto& r = rows_[static_cast<size_t>(row)];
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
    fail(
        ErrorKind::internal,
        fmt::format("a row of the KV cache holds {} tokens and gets {} more, for which {} blocks of {} are missing; {} "
                    "are free",
                    r.length, tokens, missing, block_size_, free_blocks()));
  if (copies) own_last_block(r);
  for (int64_t i = 0; i < missing; ++i) r.blocks.push_back(take_block());
}

void DecoderState::advance(int64_t row, int64_t tokens) { rows_[static_cast<size_t>(row)].length += tokens; }

int64_t DecoderState::next_position(int64_t row) const {
  const auto& r = rows_[static_cast<size_t>(row)];
  return r.length + r.ahead;
}

void DecoderState::set_next_position(int64_t row, int64_t position) {
  auto& r = rows_[static_cast<size_t>(row)];
  r.ahead = position - r.length;
}

int64_t DecoderState::slot(int64_t row, int64_t position) const {
  return blocks(row)[static_cast<size_t>(position / block_size_)] * block_size_ + position % block_size_;
}

at::Tensor DecoderState::gathered(const at::Tensor& keys_or_values, int64_t row, int64_t tokens) const {
  const auto& all = blocks(row);
  const std::vector<int64_t> used(all.begin(), all.begin() + blocks_for(tokens, block_size_));
  const auto of_row = keys_or_values.index_select(0, at::tensor(used, at::kLong).to(keys_or_values.device()));
  return of_row.transpose(0, 1).reshape({shape_.kv_heads, -1, shape_.head_size}).narrow(1, 0, tokens);
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
  for (auto* all : {&keys_, &values_})
    for (auto& layer : *all) layer[own].copy_(layer[block]);
  give_back(block);
  block = own;
}

}  // namespace antiphon
