// A stream takes one modality to the language model: media -> processor -> encoder(s) -> connector -> embeddings.
#pragma once
#include <memory>
#include <optional>

#include <antiphon/component/connector.h>
#include <antiphon/model/model_spec.h>
#include <antiphon/model/tile_texts.h>

namespace antiphon::model {

// One media item on its way. Either `inputs` (to be encoded) or `features` is set; both go part by part.
struct StreamItem {
  std::vector<std::vector<at::Tensor>> inputs;  // [encoder][part], processed, without a batch axis
  std::vector<at::Tensor> features;             // [part] of [rows, columns, feature_size]
  Tiling tiling;                                // how the parts are laid out
  std::vector<TokenGrid> grids;                 // of the embeddings of each part, before they are joined
  int64_t tokens = 0;                           // that it takes: its embeddings, and `ids` among them
  std::vector<int64_t> part_tokens;             // of each part, if they stand one after the other; else all in one
  PartStep part_step;                           // see SampleLayout
  // Of each of the tokens: the id of a token of text, -1 for an embedding, or kOfOther for one of another medium, if
  // both share their tokens. Empty: all are embeddings.
  std::vector<int64_t> ids = {};
  static constexpr int64_t kOfOther = -2;
  std::vector<int64_t> runs = {};  // of a video with its sound among its embeddings, see MediaSpan
  int64_t whole_last = 0;  // embeddings of the first part, which stand after those of the others; 0: in their order

  int64_t embeddings() const;
  int64_t own_tokens() const;  // without those of another medium
  // Puts the token `id` after each row of embeddings but the last. Error(config) if they are not in rows.
  void break_rows(int64_t id);
  // Puts the tokens `end` after the embeddings of each part, and `between` after these but for the last part.
  // Error(config) if its parts do not stand one after the other, or there are tokens among its embeddings already.
  void end_parts(const std::vector<int32_t>& end, const std::vector<int32_t>& between);
  // Puts the tokens before[i] before the i-th part in the order of the text: of a picture in tiles the whole goes to
  // the end. Error(config) as above.
  void begin_parts(const std::vector<std::vector<int32_t>>& before);
};

class Stream {
 public:
  struct EncoderSlot {
    ComponentSpec spec;
    std::unique_ptr<Encoder> encoder;
  };

  // Builds the parts on the meta device; options in force are written back into `spec`.
  // Problems are collected; nullptr if a part could not be built.
  static std::unique_ptr<Stream> build(const std::string& name, StreamSpec& spec, int64_t hidden_size,
                                       config::Problems& problems);

  const std::string& name() const { return name_; }
  // The token that the chat template writes for an item of this stream; empty: none.
  const std::string& placeholder(Modality of) const {
    return of == Modality::video ? video_placeholder_ : placeholder_;
  }
  // How it takes videos as items; nullptr: it does not.
  const VideoRule* video() const { return encoders_.size() == 1 ? encoders_.front().encoder->video() : nullptr; }
  // See StreamSpec.
  const std::string& begin() const { return begin_; }
  const std::string& end() const { return end_; }
  const std::string& row_break() const { return row_break_; }
  const std::string& part_end() const { return part_end_; }
  const std::string& part_break() const { return part_break_; }
  const std::string& sound_begin() const { return sound_begin_; }
  const std::string& sound_end() const { return sound_end_; }
  const TileTexts& tile_texts() const { return tile_texts_; }
  Modality modality() const { return encoders_.front().encoder->modality(); }
  int64_t sample_rate() const { return encoders_.front().encoder->sample_rate(); }
  // Neither encoder is trained, nor are adapters on one: features of a medium stay what they are.
  bool encoders_frozen() const;
  // How a sound may be encoded while it arrives; none if its encoders do not agree.
  Chunking chunking() const;
  std::vector<EncoderSlot>& encoders() { return encoders_; }
  const std::vector<EncoderSlot>& encoders() const { return encoders_; }
  // Of encoder `index` within the model: "streams.image.encoder", or "streams.image.encoder.1" if there are several.
  std::string encoder_path(size_t index) const;
  Connector& connector() { return *connector_; }
  int64_t taps() const { return connector_->taps(); }
  // Puts the options in force of its encoders into `spec`; to be called again when their adapters are attached.
  void write_encoders(StreamSpec& spec);
  // Identifies what the features of an item depend on besides its bytes: plugins, options, weights, dtype.
  const std::string& settings() const { return settings_; }

  // Loader threads: decoded media -> parts and their count.
  StreamItem process(const MediaItem& item) const;
  // Loader threads: features from a cache -> the item with its count.
  StreamItem from_features(std::vector<at::Tensor> features, const Tiling& tiling) const;
  // Embeddings that a part of the smallest size yields; for validation.
  int64_t example_tokens() const;

  // Runs the encoders on items that have no features yet; without autograd if the encoders are frozen. Image parts of
  // one shape go together, or of any if the encoder takes them packed, up to about 2,000 vectors; a sound's parts go
  // alone, so that a sound that is encoded while it arrives has the same features, to the bit.
  void encode(const std::vector<StreamItem*>& items, at::ScalarType dtype, at::Device device);
  // Without values, of the shapes that encode() gives an item that has its inputs.
  std::vector<at::Tensor> empty_features(const StreamItem& item, at::ScalarType dtype, at::Device device) const;
  // Embeddings of many items, one after the other: [sum of tokens, (1 + taps) * hidden_size], with those of the
  // connector's taps after each. Parts of one shape go together.
  // Error(plugin) if the connector gives a different number or width than it announced.
  at::Tensor connect(const std::vector<const StreamItem*>& items);

 private:
  void count_tokens(StreamItem& item, std::vector<TokenGrid> grids) const;
  struct Part {
    StreamItem* item;
    size_t index;
  };
  using Parts = std::vector<Part>;
  std::vector<Parts> batches_of(const Parts& parts) const;
  TokenGrid part_grid(const Part& part) const;
  at::Tensor vectors_of(const Parts& parts, size_t index, at::ScalarType dtype, at::Device device);
  std::vector<at::Tensor> encode_parts(const Parts& parts, at::ScalarType dtype, at::Device device);
  // parts [rows, columns, feature_size] each -> [tokens, any width] each
  std::vector<at::Tensor> arranged(const std::vector<at::Tensor>& parts);
  std::vector<at::Tensor> embed_parts(const std::vector<const StreamItem*>& items);
  void check_connector(bool good, const at::Tensor& got, const std::string& expected) const;
  std::string name_, placeholder_, video_placeholder_, begin_, end_, row_break_, part_end_, part_break_, settings_;
  std::string sound_begin_, sound_end_;
  TileTexts tile_texts_;
  int64_t hidden_size_ = 0;
  std::vector<EncoderSlot> encoders_;
  std::unique_ptr<Connector> connector_;
};

}  // namespace antiphon::model
