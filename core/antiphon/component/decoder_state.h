// What a language model keeps of texts between their tokens, layer by layer: keys and values of every token, in blocks,
// so that texts grow, end and share their beginnings without moving anything (Kwon et al. 2023, PagedAttention); and
// tensors of a text as a whole, which recurrences and short convolutions go on from.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

namespace antiphon {

// Keys and values that are alike in all layers.
struct KvShape {
  int64_t layers = 0, kv_heads = 0, head_size = 0;
};

// What is kept of one layer.
struct LayerState {
  int64_t kv_heads = 0, head_size = 0;               // of each token's keys and values; 0: there are none
  std::optional<size_t> shares = {};                 // reads those of this earlier layer, and has none of its own
  std::vector<std::vector<int64_t>> recurrent = {};  // the sizes of tensors of each text, however long it is
};
using StateShape = std::vector<LayerState>;

StateShape state_shape(const KvShape& kv);
// Without layers, if they are not alike or there is more than keys and values.
KvShape kv_shape(const StateShape& shape);

// A row is one text: the blocks that hold its keys and values, in order, its tensors, and how many tokens it has. Not
// thread-safe.
class DecoderState {
 public:
  static constexpr int64_t kBlockSize = 32;  // tokens
  static int64_t blocks_for(int64_t tokens, int64_t block_size = kBlockSize);

  // Zeros, which take memory on the CPU only as they are written. `options`: the dtype of keys and values, and the
  // device.
  DecoderState(const StateShape& shape, int64_t blocks, at::TensorOptions options, int64_t block_size = kBlockSize);
  DecoderState(const KvShape& kv, int64_t blocks, at::TensorOptions options, int64_t block_size = kBlockSize)
      : DecoderState(state_shape(kv), blocks, options, block_size) {}

  // Every row that is added from here on begins with these keys and values, [layers, 2, tokens, kv_heads, head_size].
  // They take blocks_for(tokens) blocks for good; of those that they fill each row takes none of its own.
  // Error(internal) if there are rows already, or if the layers are not alike.
  void begin_rows_with(const at::Tensor& kv);
  int64_t prefix() const { return begin_ < 0 ? 0 : length(begin_); }  // how many tokens they are

  // A new row without tokens but these; its number is that of a dropped row, if there is one.
  int64_t add_row();
  // A new row with the same tokens. They share blocks; whoever writes into a block that others hold gets a copy first.
  int64_t fork(int64_t row);
  void drop_row(int64_t row);
  // To how many tokens of the first `tokens` the row can be cut: all of those that it has, or with tensors of a text,
  // which cannot be undone, the last place of those that keep_place() remembers, or its end.
  int64_t reachable(int64_t row, int64_t tokens) const;
  // The row can be cut to what it has now, later. Costs nothing without tensors of a text; the last kKeptPlaces hold.
  static constexpr size_t kKeptPlaces = 4;
  void keep_place(int64_t row);
  // The row keeps its first `tokens` tokens; blocks that hold none of them are free again. Error(internal) if that is
  // not reachable().
  void truncate(int64_t row, int64_t tokens);
  // Blocks for `tokens` more. Error(internal) if too few are free; nothing is taken then.
  void reserve(int64_t row, int64_t tokens);
  // The row has `tokens` more, for which there is room, now that every layer has written them.
  void advance(int64_t row, int64_t tokens);

  // Where the row's next token is: after its last one, unless positions do not count tokens. Appending and forking keep
  // the distance to length(); so does truncating, after which it is to be set anew if it matters.
  double next_position(int64_t row) const;
  void set_next_position(int64_t row, double position);

  int64_t length(int64_t row) const { return rows_[static_cast<size_t>(row)].length; }
  const std::vector<int64_t>& blocks(int64_t row) const { return rows_[static_cast<size_t>(row)].blocks; }
  // Where in keys() and values() the token at a position is: block * block_size + its place there. There must be room.
  int64_t slot(int64_t row, int64_t position) const;

  int64_t block_size() const { return block_size_; }
  int64_t all_blocks() const { return static_cast<int64_t>(holders_.size()); }
  int64_t free_blocks() const { return static_cast<int64_t>(free_.size()); }
  at::Device device() const { return device_; }
  // [blocks, kv_heads, block_size, head_size], of a layer that has some or shares them.
  const at::Tensor& keys(size_t layer) const { return keys_[layer]; }
  const at::Tensor& values(size_t layer) const { return values_[layer]; }
  // A copy of a row's first `tokens` keys or values: [kv_heads, tokens, head_size].
  at::Tensor gathered(const at::Tensor& keys_or_values, int64_t row, int64_t tokens) const;

  // Tensor `which` of a layer after the row's last token, zeros in float32 at its begin; not to be changed in place.
  const at::Tensor& recurrent(size_t layer, size_t which, int64_t row) const;
  // What it is after the tokens that the next advance() adds. Rows that were forked and places that are kept have what
  // they had.
  void set_recurrent(size_t layer, size_t which, int64_t row, at::Tensor value);
  bool has_recurrent() const { return !begin_tensors_.empty(); }

 private:
  using Tensors = std::vector<at::Tensor>;  // of all layers, one after the other; never changed in place
  struct Place {
    int64_t length = 0;
    Tensors tensors;
  };
  struct Row {
    std::vector<int64_t> blocks;
    int64_t length = 0;
    bool used = false;
    double ahead = 0;            // of its next position, beyond its length
    Tensors tensors, next = {};  // next: what advance() makes of them
    std::vector<Place> kept = {};
  };
  int64_t unused_row();
  int64_t take_block();
  void give_back(int64_t block);
  void own_last_block(Row& row);
  void put_back(Row& row, int64_t tokens);

  StateShape shape_;
  int64_t block_size_;
  at::Device device_;
  std::vector<at::Tensor> keys_, values_;  // of each layer; undefined without any
  std::vector<size_t> first_tensor_;       // of each layer, in Tensors
  Tensors begin_tensors_;
  std::vector<Row> rows_;
  int64_t begin_ = -1;            // the row with which all others begin; -1: they begin with nothing
  std::vector<int64_t> free_;     // the next one last
  std::vector<int64_t> holders_;  // rows that hold each block
};

}  // namespace antiphon
