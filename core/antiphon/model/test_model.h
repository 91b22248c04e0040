// For tests: components of a few lines, and models composed of them without a plugin file.
//   language_model test_lm, encoders test_pixels (an image of h x w: h*w vectors of its 3 channels) and test_levels
//   (sound: one vector for each 1600 samples), test_chunks (the same in chunks of two vectors that see the two before),
//   connector test_linear, method test_prompt. `lie` adds to what forward really gives.
#pragma once
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/backbone/decoder_lm.h>
#include <antiphon/backbone/grid_positions.h>
#include <antiphon/component/connector.h>
#include <antiphon/component/encoder.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/peft.h>
#include <antiphon/component/register.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/nn/linear/linear.h>

#include <nlohmann/json.hpp>

#include <stdexcept>

namespace antiphon::model::testing {

struct LmOptions {
  int64_t hidden_size = 16, vocab_size = 300;
  bool grid = false;     // positions by part, row and column
  bool between = false;  // and media begin a quarter later, between whole numbers
  bool media = false;    // the embeddings of a part of a medium see each other, beyond a window of three
  bool sums = false;     // adds to each token the sum of those before it and a number of its own
};

class TestLm : public backbone::DecoderLm {
 public:
  explicit TestLm(const LmOptions& o) : DecoderLm(options(o)), grid_(o.grid), between_(o.between), sums_(o.sums) {}
  at::Tensor positions(const SampleLayout& layout) const override {
    if (!grid_) return DecoderLm::positions(layout);
    const auto positions_at = backbone::grid_positions(layout, backbone::AfterMedium::largest);
    if (!between_) return positions_at;
    auto later_at = positions_at.to(at::kFloat);
    for (const auto& span : layout.media) later_at.narrow(1, span.begin, layout.tokens - span.begin).add_(0.25);
    return later_at;
  }
  NameMap name_map() const override { return {{{"{}", "{}"}}, {}, {}}; }
  bool takes_prefix() const override { return !sums_; }
  bool reads_ids() const override { return sums_; }
  StateShape state_shape() const override {
    auto shape = DecoderLm::state_shape();
    if (sums_) shape.front().recurrent = {{hidden_size()}};
    return shape;
  }
  at::Tensor forward(const DecoderInput& input) override { return DecoderLm::forward(sums_ ? summed(input) : input); }

 private:
  static DecoderInput summed(DecoderInput input) {
    std::vector<at::Tensor> all;
    int64_t begin = 0;
    for (size_t i = 0; i < input.lengths.size(); begin += input.lengths[i++]) {
      auto sums = input.x_td.narrow(0, begin, input.lengths[i]).cumsum(0);
      if (input.cache) sums = sums + input.cache->recurrent(0, 0, input.rows[i]);
      if (input.cache) input.cache->set_recurrent(0, 0, input.rows[i], sums[sums.size(0) - 1].clone());
      all.push_back(sums);
    }
    input.x_td = input.x_td + at::cat(all) + input.ids_t.remainder(7).unsqueeze(1);
    return input;
  }
  static nn::DecoderOptions options(const LmOptions& o) {
    nn::DecoderOptions d;
    d.vocab_size = o.vocab_size, d.hidden_size = o.hidden_size, d.intermediate_size = 24, d.num_layers = 2;
    d.num_heads = 2, d.num_kv_heads = 1, d.head_size = 8, d.max_positions = 256;
    if (o.grid) d.rope_axes = {0, 1, 2, 1};
    if (o.media) d.media_see_all = true, d.window = 3, d.full_layers = {1};
    return d;
  }
  bool grid_, between_, sums_;
};

struct EncoderOptions {
  int64_t lie = 0, shrink = 1;
  bool packed = false;
  std::string fault;  // "none": no part; "plugin", "foreign": what process() throws
};

// Shared by both encoders: a part [channels, rows, columns], one vector for each place.
class TestEncoder : public Encoder, private Module {
 public:
  TestEncoder(const EncoderOptions& options, int64_t channels) : options_(options), channels_(channels) {
    add("scale", scale_, {channels}, Init::ones, Role::vector);
  }
  int64_t output_size() const override { return channels_; }
  TokenGrid output_grid(at::IntArrayRef shape) const override { return {shape[1], shape[2]}; }
  at::Tensor forward(const at::Tensor& parts) override {
    const auto y = (parts.flatten(2).transpose(1, 2) * scale_).to(parts.scalar_type());
    return options_.lie ? at::cat({y, y.narrow(1, 0, options_.lie)}, 1) : y;
  }
  bool is_packed() const override { return options_.packed; }
  at::Tensor forward_packed(const std::vector<at::Tensor>& parts) override {
    ++packed_calls;
    return Encoder::forward_packed(parts);
  }
  Module& module() override { return *this; }
  NameMap name_map() const override { return {{{"{}", "{}"}}, {}, {}}; }
  static inline int packed_calls = 0;  // of all

 protected:
  void break_if_asked() const {
    if (options_.fault == "plugin") fail(ErrorKind::plugin, "test_pixels is broken");
    if (options_.fault == "foreign") throw std::runtime_error("not ours");
  }
  EncoderOptions options_;

 private:
  int64_t channels_;
  at::Tensor scale_;
};

class TestPixels : public TestEncoder {
 public:
  explicit TestPixels(const EncoderOptions& options) : TestEncoder(options, 3) {}
  Modality modality() const override { return Modality::image; }
  std::vector<int64_t> example_shape() const override { return {3, 1, 1}; }
  std::vector<at::Tensor> process(const MediaItem& item) const override {
    break_if_asked();
    if (options_.fault == "none") return {};
    const auto& image = item.image;
    const auto rgb = at::tensor(at::ArrayRef<uint8_t>(image.rgb))
                         .view({image.height, image.width, 3})
                         .permute({2, 0, 1})
                         .to(at::kFloat) /
                     255;
    return {rgb.narrow(2, 0, image.width / options_.shrink).contiguous()};
  }
};

class TestLevels : public TestEncoder {
 public:
  explicit TestLevels(const EncoderOptions& options) : TestEncoder(options, 1) {}
  Modality modality() const override { return Modality::audio; }
  int64_t sample_rate() const override { return 16000; }
  std::optional<Spectrogram> spectrogram() const override { return Spectrogram{1, 2, 1600}; }
  std::vector<int64_t> example_shape() const override { return {1, 1, 1}; }
  // Two parts: the halves of the sound.
  std::vector<at::Tensor> process(const MediaItem& item) const override {
    const auto n = static_cast<int64_t>(item.audio.samples.size()) / 1600;
    const auto levels =
        at::tensor(item.audio.samples).narrow(0, 0, n * 1600).view({n, 1600}).abs().mean(1).view({1, 1, n});
    if (n < 2) return {levels};
    return {levels.narrow(2, 0, n / 2).contiguous(), levels.narrow(2, n / 2, n - n / 2).contiguous()};
  }
};

// A vector is the mean level of its samples, and a bit of that of the context of its chunk.
class TestChunks : public TestEncoder {
 public:
  explicit TestChunks(const EncoderOptions& options) : TestEncoder(options, 1) {}
  Modality modality() const override { return Modality::audio; }
  int64_t sample_rate() const override { return 16000; }
  Chunking chunking() const override { return {3200, 3200}; }
  std::vector<int64_t> example_shape() const override { return {1, 1, 1}; }
  std::vector<at::Tensor> process(const MediaItem& item) const override {
    const auto sound = at::tensor(item.audio.samples).abs();
    std::vector<at::Tensor> parts;
    for (int64_t begin = 0; begin < sound.size(0); begin += 3200) {
      const auto own = sound.narrow(0, begin, std::min<int64_t>(3200, sound.size(0) - begin));
      const auto from = std::max<int64_t>(0, begin - 3200);
      const auto context = begin > from ? sound.narrow(0, from, begin - from).mean() : at::zeros({});
      const int64_t n = (own.size(0) + 1599) / 1600;
      const auto level = at::constant_pad_nd(own, {0, n * 1600 - own.size(0)}).view({n, 1600}).mean(1);
      parts.push_back((level + context * 0.3).view({1, 1, n}));
    }
    return parts;
  }
};

struct ConnectorOptions {
  int64_t lie = 0;
  bool lie_rows = false;  // grids of one row give one too many, others one too few
};

class TestLinear : public Connector {
 public:
  TestLinear(const ConnectorOptions& options, ConnectorShape shape)
      : options_(options), layer_(shape.input_size, shape.output_size, true) {}
  TokenGrid output_grid(const TokenGrid& input) const override { return input; }
  at::Tensor arrange(const at::Tensor& features, const TokenGrid& grid) const override {
    if (!options_.lie_rows) return features;
    return grid.rows == 1 ? at::cat({features, features.narrow(1, 0, 1)}, 1)
                          : features.narrow(1, 1, features.size(1) - 1);
  }
  at::Tensor project(const at::Tensor& rows) override {
    return layer_.forward(rows.narrow(0, 0, rows.size(0) - options_.lie));
  }
  Module& module() override { return layer_; }

 private:
  ConnectorOptions options_;
  nn::Linear layer_;
};

struct PromptOptions {
  int64_t tokens = 3;
};

// Virtual tokens that are trained themselves, of a language model; of another part adapters that double what sites
// give.
class TestPrompt : public Peft, private Module {
 public:
  explicit TestPrompt(const PromptOptions& options) : options_(options) {}
  std::vector<std::string> attach(const PeftTarget& target) override {
    width_ = target.hidden_size;
    if (width_ > 0) add("embedding", embedding_, {options_.tokens, width_}, Init::normal, Role::embedding);
    std::vector<std::string> paths;
    for (const auto& site : target.sites) {
      if (width_ > 0) break;
      site.linear->adapters.push_back(std::make_shared<Doubled>());
      paths.push_back(site.path);
    }
    return paths;
  }
  int64_t prompt_tokens() const override { return width_ > 0 ? options_.tokens : 0; }
  at::Tensor prompt() override { return embedding_; }
  Module& module() override { return *this; }
  nlohmann::json adapter_config() const override { return {{"peft_type", "TEST"}}; }
  ForeignKeys config_keys() const override { return {}; }
  std::vector<std::string> compared_keys() const override { return {}; }
  std::string why_not_merged() const override { return "it is a test's"; }
  void merge() override {}

 private:
  struct Doubled : LinearAdapter {
    at::Tensor forward(const at::Tensor& x, const LinearBase& base) override { return base.product(x) * 2; }
  };
  PromptOptions options_;
  int64_t width_ = 0;
  at::Tensor embedding_;
};

inline void register_test_components() {
  static const bool done = [] {
    static const auto* lm =
        new config::Table<LmOptions>(config::Table<LmOptions>("test_lm")
                                         .field("hidden_size", &LmOptions::hidden_size, "width", {.min = 1})
                                         .field("vocab_size", &LmOptions::vocab_size, "tokens", {.min = 1})
                                         .field("grid", &LmOptions::grid, "positions by part, row and column")
                                         .field("between", &LmOptions::between, "media begin a quarter later")
                                         .field("media", &LmOptions::media, "embeddings of media see each other")
                                         .field("sums", &LmOptions::sums, "keeps a tensor of each text"));
    static const auto* encoder =
        new config::Table<EncoderOptions>(config::Table<EncoderOptions>("test_encoder")
                                              .field("lie", &EncoderOptions::lie, "rows too many")
                                              .field("shrink", &EncoderOptions::shrink, "columns are divided by this")
                                              .field("packed", &EncoderOptions::packed, "parts of all shapes at once")
                                              .field("fault", &EncoderOptions::fault, "what process() does"));
    static const auto* connector =
        new config::Table<ConnectorOptions>(config::Table<ConnectorOptions>("test_linear")
                                                .field("lie", &ConnectorOptions::lie, "rows too few")
                                                .field("lie_rows", &ConnectorOptions::lie_rows, "by grid"));
    static const auto* prompt = new config::Table<PromptOptions>(
        config::Table<PromptOptions>("test_prompt").field("tokens", &PromptOptions::tokens, "how many", {.min = 1}));
    plugin::Registrar registrar(plugin::Entry{});
    register_component<LanguageModel, TestLm>(registrar, "test_lm", "", *lm);
    register_component<Encoder, TestPixels>(registrar, "test_pixels", "", *encoder);
    register_component<Encoder, TestLevels>(registrar, "test_levels", "", *encoder);
    register_component<Encoder, TestChunks>(registrar, "test_chunks", "", *encoder);
    register_component<Peft, TestPrompt>(registrar, "test_prompt", "", *prompt);
    register_component<Connector, TestLinear>(registrar, "test_linear", "", *connector);
    plugin::Registry::instance().add(registrar.entries());
    return true;
  }();
  static_cast<void>(done);
}

inline const char* kTwoStreams = R"(
llm = { plugin = "test_lm" }
streams.image = { encoder = { plugin = "test_pixels" }, connector = { plugin = "test_linear" } }
streams.audio = { encoder = { plugin = "test_levels" }, connector = { plugin = "test_linear" } }
)";

// The same, of which the language model places pictures by row and column.
inline const char* kGrid = R"(
llm = { plugin = "test_lm", grid = true }
streams.image = { encoder = { plugin = "test_pixels" }, connector = { plugin = "test_linear" } }
streams.audio = { encoder = { plugin = "test_levels" }, connector = { plugin = "test_linear" } }
)";

// The same, whose media, and what follows them, lie between whole numbers.
inline const char* kBetween = R"(
llm = { plugin = "test_lm", grid = true, between = true }
streams.image = { encoder = { plugin = "test_pixels" }, connector = { plugin = "test_linear" } }
streams.audio = { encoder = { plugin = "test_levels" }, connector = { plugin = "test_linear" } }
)";

// The same, in which the embeddings of a part of a medium see each other.
inline const char* kMedia = R"(
llm = { plugin = "test_lm", media = true }
streams.image = { encoder = { plugin = "test_pixels" }, connector = { plugin = "test_linear" } }
streams.audio = { encoder = { plugin = "test_levels" }, connector = { plugin = "test_linear" } }
)";

// From the TOML of [model]; with its parameters. Error(config) with all problems.
inline std::unique_ptr<MultimodalLm> test_model(const std::string& toml = kTwoStreams, bool load = true) {
  register_test_components();
  config::Problems problems;
  auto spec = model_table().parse(config::parse_toml(toml, "test"), "model", problems);
  problems.throw_if_any();
  auto model = MultimodalLm::build(spec);
  if (load) model->load({});
  return model;
}

// A model whose logits differ by more than rounding.
inline std::unique_ptr<MultimodalLm> test_model_that_answers(const std::string& toml = kTwoStreams) {
  auto model = test_model(toml);
  c10::AutoGradMode no_grad(false);
  for (const auto& parameter : model->llm().module().parameters())
    if (parameter.tensor->size(0) == model->llm().vocab_size()) parameter.tensor->mul_(30);
  return model;
}

inline MediaItem test_image(int64_t height, int64_t width, uint8_t first = 1) {
  MediaItem item{Modality::image, {height, width, {}}, {}};
  for (int64_t i = 0; i < height * width * 3; ++i) item.image.rgb.push_back(static_cast<uint8_t>(first + 7 * i));
  return item;
}

inline MediaItem test_sound(int64_t vectors, float level) {
  MediaItem item{Modality::audio, {}, {16000, {}}};
  for (int64_t i = 0; i < vectors * 1600; ++i) item.audio.samples.push_back(level * static_cast<float>(1 + i / 1600));
  return item;
}

}  // namespace antiphon::model::testing
