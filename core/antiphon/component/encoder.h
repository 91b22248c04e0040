// An encoder turns processed media into feature vectors. It is the first half of a stream.
#pragma once
#include <antiphon/component/kind.h>
#include <antiphon/component/media_item.h>
#include <antiphon/component/module.h>
#include <antiphon/component/name_map.h>
#include <antiphon/component/video_rule.h>

#include <optional>

namespace antiphon {

// The layout of the output vectors of one part: an image's patches in rows and columns, a sequence as one row.
struct TokenGrid {
  int64_t rows = 1, columns = 0;
  int64_t count() const { return rows * columns; }
  bool operator==(const TokenGrid&) const = default;
};

// The layout of the parts of one item: the first shows the whole image, the others are `rows` x `columns` tiles of it,
// row by row. No tiles: rows = 0.
struct Tiling {
  int64_t rows = 0, columns = 0;
  int64_t height = 0, width = 0;  // of the image, pixels; its aspect ratio says how much of the tiles is padding
  bool operator==(const Tiling&) const = default;
};

// How audio may be encoded while it arrives: part k of an item is made of its samples from k * samples - context (but
// not before its beginning) to (k + 1) * samples (but not beyond its end), as if these were the whole clip.
struct Chunking {
  int64_t samples = 0;  // of a part; 0: no part is known before the audio has ended
  int64_t context = 0;  // a multiple of `samples`
};

// How the parts of an encoder that takes spectrograms are laid out. A sound fills the frames of its parts one after the
// other, each of so many samples; what is left of the last part is padding.
struct Spectrogram {
  int64_t mel_axis = 0, frame_axis = 1;
  int64_t samples_per_frame = 160;
};

class Encoder {
 public:
  virtual ~Encoder() = default;
  virtual Modality modality() const = 0;
  // Audio encoders: the rate in Hz at which process() wants its samples. Image encoders: 0.
  virtual int64_t sample_rate() const { return 0; }
  // Width of an output vector.
  virtual int64_t output_size() const = 0;

  // Media -> parts (an image, a tile, a window of 30 s), each a float32 CPU tensor without a batch axis. Called from
  // loader threads: const, thread-safe, reads no parameter. Error(data) if the item cannot be processed.
  virtual std::vector<at::Tensor> process(const MediaItem& item) const = 0;
  // The layout of the parts of that item; by default one after the other.
  virtual Tiling tiling(const MediaItem&) const { return {}; }
  virtual Chunking chunking() const { return {}; }
  // Of image encoders that take videos, too, as items whose parts are frames that belong together: how. nullptr: frames
  // go in as pictures. It lives as long as the encoder.
  virtual const VideoRule* video() const { return nullptr; }
  // Of encoders whose parts are spectrograms: what may be masked in training (SpecAugment).
  virtual std::optional<Spectrogram> spectrogram() const { return std::nullopt; }
  // A part of the smallest shape that process() may return, for conformance and memory estimates.
  virtual std::vector<int64_t> example_shape() const = 0;
  // The counting contract: how many vectors forward() returns for a part of this shape.
  virtual TokenGrid output_grid(at::IntArrayRef part_shape) const = 0;
  // parts [n, …part_shape] in the module's dtype -> [n, output_grid().count(), output_size()].
  virtual at::Tensor forward(const at::Tensor& parts) = 0;
  // Whether parts of several shapes go through the encoder at once, by forward_packed(). If not, those of one shape go
  // through forward() together.
  virtual bool is_packed() const { return false; }
  // parts in the module's dtype, each of a shape of its own -> what forward() gives of each, one part after the other:
  // [sum of output_grid().count(), output_size()]. Default: one call for each.
  virtual at::Tensor forward_packed(const std::vector<at::Tensor>& parts);

  virtual Module& module() = 0;
  virtual NameMap name_map() const = 0;
};

template <>
struct KindOf<Encoder> : Kind<> {
  static constexpr const char* name = "encoder";
};

}  // namespace antiphon
