// Keys and values of the tokens that texts consist of so far, kept in blocks, so that texts grow, end and share their
// beginnings without moving anything. Source: Kwon et al. 2023 (PagedAttention).
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

namespace antiphon {

// What a language model keeps of each token.
struct KvShape {
  int64_t layers = 0, kv_heads = 0, head_size = 0;
};

// A row is one text: the blocks that hold it, in order, and how many tokens it has. Not thread-safe.
class DecoderState {
 public:
  static constexpr int64_t kBlockSize = 32;  // tokens
  static int64_t blocks_for(int64_t tokens, int64_t block_size = kBlockSize);

  // Zeros. `options`: the dtype that the model computes in, and its device.
  DecoderState(const KvShape& shape, int64_t blocks, at::TensorOptions options, int64_t block_size = kBlockSize);

  // Every row that is added from here on begins with these keys and values, [layers, 2, tokens, kv_heads, head_size].
  // They take blocks_for(tokens) blocks for good; of those that they fill each row takes none of its own.
  // Error(internal) if there are rows already.
  void begin_rows_with(const at::Tensor& kv);
  int64_t prefix() const { return begin_ < 0 ? 0 : length(begin_); }  // how many tokens they are

  // A new row without tokens but these; its number is that of a dropped row, if there is one.
  int64_t add_row();
  // A new row with the same tokens. They share blocks; whoever writes into a block that others hold gets a copy first.
  int64_t fork(int64_t row);
  void drop_row(int64_t row);
  // The row keeps its first `tokens` tokens; blocks that hold none of them are free again.
  void truncate(int64_t row, int64_t tokens);
  // Blocks for `tokens` more. Error(internal) if too few are free; nothing is taken then.
  void reserve(int64_t row, int64_t tokens);
  // The row has `tokens` more, for which there is room, now that every layer has written them.
  void advance(int64_t row, int64_t tokens);

  // Where the row's next token is: after its last one, unless positions do not count tokens. Appending and forking keep
  // the distance to length(); so does truncating, after which it is to be set anew if it matters.
  int64_t next_position(int64_t row) const;
  void set_next_position(int64_t row, int64_t position);

  int64_t length(int64_t row) const { return rows_[static_cast<size_t>(row)].length; }
  const std::vector<int64_t>& blocks(int64_t row) const { return rows_[static_cast<size_t>(row)].blocks; }
  // Where in keys() and values() the token at a position is: block * block_size + its place there. There must be room.
  int64_t slot(int64_t row, int64_t position) const;

  const KvShape& shape() const { return shape_; }
  int64_t block_size() const { return block_size_; }
  int64_t free_blocks() const { return static_cast<int64_t>(free_.size()); }
  // [blocks, kv_heads, block_size, head_size]
  const at::Tensor& keys(size_t layer) const { return keys_[layer]; }
  const at::Tensor& values(size_t layer) const { return values_[layer]; }
  // A copy of a row's first `tokens` keys or values: [kv_heads, tokens, head_size].
  at::Tensor gathered(const at::Tensor& keys_or_values, int64_t row, int64_t tokens) const;

 private:
  struct Row {
    std::vector<int64_t> blocks;
    int64_t length = 0;
    bool used = false;
    int64_t ahead = 0;  // of its next position, beyond its length
  };
  int64_t unused_row();
  int64_t take_block();
  void give_back(int64_t block);
  void own_last_block(Row& row);

  KvShape shape_;
  int64_t block_size_;
  std::vector<at::Tensor> keys_, values_;  // of each layer
  std::vector<Row> rows_;
  int64_t begin_ = -1;            // the row with which all others begin; -1: they begin with nothing
  std::vector<int64_t> free_;     // the next one last
  std::vector<int64_t> holders_;  // rows that hold each block
};

}  // namespace antiphon
