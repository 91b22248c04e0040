#include <antiphon/run/memory.h>

#include <ATen/ATen.h>
#include <c10/util/accumulate.h>

#include <antiphon/base/strings.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/nn/blocks/decoder.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/linear/nf4_weight.h>
#include <antiphon/nn/linear/quantized_weight.h>
#include <antiphon/run/precision.h>
#include <antiphon/train/recompute.h>
#include <antiphon/train/trainer.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <map>

namespace antiphon::run {
namespace {

constexpr double kThreads = 25 << 20;  // what threads and the kernels that oneDNN makes take beside the libraries
constexpr int64_t kWords = 40;         // tokens of a sample besides its media
constexpr double kUnpacking = 14;      // bytes a value beside it, by operations: codes twice, indices, two products
constexpr double kTile = 1 << 22;      // values of an nf4 matrix that are in full width (nn/linear/nf4_weight.cpp)
constexpr double kMore = 1.12;  // measured: what products and gradients on their way take, and gaps between blocks

double count(Module& module) { return static_cast<double>(module.parameter_count()); }
double trained(Module& module) { return static_cast<double>(module.trainable_count()); }

double linear_numbers(Module& module) {
  int64_t numbers = 0;
  for (const auto& site : module.sites()) numbers += site.linear->in() * site.linear->out();
  return static_cast<double>(numbers);
}

bool reads_the_same(const std::string& path, bool gated) {
  return path.ends_with("k_proj") || path.ends_with("v_proj") || (gated && path.ends_with("up_proj"));
}

// Numbers that the blocks of a module keep for each vector until its gradient is known: what every product reads (once
// if several read the same) and what it gives. Attention keeps no probabilities. `frozen_read`: frozen layers keep what
// they read, too.
double kept_numbers(Module& module, bool frozen_read) {
  const auto sites = module.sites();
  const bool gated = std::ranges::any_of(sites, [](const auto& site) { return site.path.ends_with("gate_proj"); });
  double numbers = 0;
  for (const auto& site : sites) {
    const bool learns = site.linear->weight.requires_grad() || !site.linear->adapters.empty();
    const bool reads = (learns || frozen_read) && !reads_the_same(site.path, gated);
    const int64_t read = reads ? site.linear->in() : 0;
    numbers += site.linear->share * static_cast<double>(site.linear->out() + read);
  }
  return numbers;
}

double largest_matrix(Module& module) {
  int64_t most = 0;
  for (const auto& site : module.sites()) most = std::max(most, site.linear->in() * site.linear->out());
  return static_cast<double>(most);
}

// The same if nothing is kept: the widest block's products while it works.
double passing_numbers(Module& module) {
  int64_t widest = 0;
  for (const auto& site : module.sites()) widest = std::max(widest, site.linear->in() + site.linear->out());
  return 2.0 * static_cast<double>(widest);
}

// The first number in a name: "layers.3.mlp.experts.7.up_proj" is in block 3. -1: there is none.
int64_t first_number(const std::string& path) {
  for (const auto& word : split(path, '.')) {
    int64_t index = 0;
    const auto* end = word.data() + word.size();
    if (!word.empty() && std::from_chars(word.data(), end, index).ptr == end) return index;
  }
  return -1;
}

// Blocks of the module's stack, by the names of its layers.
int64_t blocks_of(Module& module) {
  int64_t blocks = 0;
  for (const auto& site : module.sites()) blocks = std::max(blocks, first_number(site.path) + 1);
  return blocks;
}

struct Estimator {
  const RunConfig& config;
  model::Model& whole;
  const UpdateRule& rule;
  const Objective& objective;
  at::DeviceType device = at::kCPU;
  model::MultimodalLm& model = whole.lm();
  model::NumberFormats formats =
      model::number_formats(config.precision.compute, device == at::kCPU ? at::kCPU : at::kMeta);
  std::vector<Parameter> narrow = narrow_when_trained(model, config.precision);
  double compute = static_cast<double>(c10::elementSize(formats.compute));
  double tokens = static_cast<double>(config.train.tokens_per_batch);
  Memory memory = {};

  // Tokens of a sample.
  int64_t sample() const {
    int64_t sample = kWords + model.prompt_tokens();
    for (const auto& [name, stream] : model.streams()) sample += stream->example_tokens();
    return sample;
  }
  // What the blocks of a module keep for each vector, `more` beside their products included; of those that are computed
  // again, their inputs and what one of them keeps while it is.
  double kept(Module& module, double width, double more = 0) const {
    const double all = kept_numbers(module, compute < 4) + more;
    config::Problems checked;
    const auto blocks = static_cast<double>(blocks_of(module)),
               again = std::min(blocks, static_cast<double>(train::recomputed_blocks(config.train.recompute, checked)));
    return again > 0 ? all * (blocks - again + 1) / blocks + again * width : all;
  }

  double items() const { return tokens / static_cast<double>(sample()); }

  // Numbers that attention keeps for each token: probabilities of short sequences in bf16
  // (nn/attention/short_attention.h), laid out in powers of two. Others are made again in the backward pass, but for
  // those of capped scores (nn/attention/capped_attention.h): what tanh and softmax gave, in float32, and the
  // probabilities as they are multiplied.
  double kept_probabilities() const {
    const auto* decoder = dynamic_cast<const nn::Decoder*>(&model.llm().module());
    if (!decoder) return 0;
    const auto& options = decoder->options();
    const auto heads = static_cast<double>(options.num_heads * options.num_layers);
    if (options.score_cap > 0) return heads * static_cast<double>(sample()) * (compute == 4 ? 2 : 1 + 8 / compute);
    if (compute == 4 || sample() > 256) return 0;
    return heads * static_cast<double>(std::bit_ceil(static_cast<uint64_t>(sample())));
  }

  // Of the language model as precision.weights keeps it; what does not fit stays in `frozen` bytes a value.
  double quantized_bytes(Module& module, double frozen) {
    const auto& format = config.precision.weights;
    constexpr double kScale = 2.0 / 32, kNf4Scale = (1 + 4.0 / nn::Nf4Weight::kScaleBlock) / nn::Nf4Weight::kBlock;
    const double of_value = format == "nf4" ? 0.5 + kNf4Scale : (format == "int4" ? 0.5 : 1) + kScale;
    std::map<const void*, double> of_matrix;
    for (const auto& site : module.sites()) of_matrix[site.linear->weight.unsafeGetTensorImpl()] = of_value;
    if (format != "nf4" && model.llm().writes())
      of_matrix[model.llm().head_weight().unsafeGetTensorImpl()] = 1 + kScale;
    double bytes = 0;
    for (const auto& parameter : module.parameters()) {
      const auto found = of_matrix.find(parameter.tensor->unsafeGetTensorImpl());
      const bool fits = found != of_matrix.end() && nn::Linear::fits_format(*parameter.tensor, format);
      bytes += static_cast<double>(parameter.tensor->numel()) * (fits ? found->second : frozen);
    }
    return bytes;
  }

  double narrow_values() const {
    double values = 0;
    for (const auto& parameter : narrow) values += static_cast<double>(parameter.numel());
    return values;
  }

  // The largest trained matrix in float32, with its gradient and what a rule makes of them, while it is updated.
  double updated() const {
    constexpr double kCopies = 6;
    int64_t most = 0;
    for (const auto& parameter : narrow) most = std::max(most, parameter.numel());
    return kCopies * 4 * static_cast<double>(most);
  }

  void add_parameters() {
    double all = 0;
    for (const auto& part : whole.parts()) {
      const bool matrices = part.kind == model::PartKind::llm && trained(*part.module) == 0;
      const auto frozen = static_cast<double>(c10::elementSize(matrices ? formats.matrices : formats.compute));
      const double of_narrow = part.kind == model::PartKind::llm ? 2 * narrow_values() : 0;
      const double before =
          (count(*part.module) - trained(*part.module)) * frozen + trained(*part.module) * 4 - of_narrow;
      const bool quantized = matrices && !config.precision.weights.empty();
      memory.parameters += quantized ? quantized_bytes(*part.module, frozen) : before;
      if (of_narrow > 0)
        memory.loading += before + of_narrow;
      else if (part.weights.empty() || quantized)
        memory.loading += part.weights.empty() ? count(*part.module) * 4 : before;
      all += trained(*part.module);
    }
    for (const auto& parameter : whole.trainable_parameters())
      for (const auto& [name, tensor] : rule.make_state(parameter))
        memory.optimizer += static_cast<double>(tensor.nbytes());
    if (config.train.ema.decay > 0) memory.optimizer += 4 * all;
    memory.gradients = 4 * all - 2 * narrow_values() + updated();
    if (objective.needs().reference) memory.reference = 4 * all;
    memory.checkpoint =
        (config.train.checkpoint_every < config.train.steps ? 4 * all - 2 * narrow_values() + 2 * memory.optimizer
                                                            : memory.optimizer);
    if (config.parallel.offload_optimizer) move_to_host(4 * all - 2 * narrow_values());
  }

  // Of what is trained, bytes on the device while `kept` is in the host's memory: two blocks at a time, in the format
  // that they compute in, and all that is in no block.
  struct Visiting {
    double blocks = 0, others = 0;
  };
  Visiting visiting(double kept) const {
    if (!config.parallel.reshard) return {0, kept};
    double in_blocks = 0, largest = 0;
    for (auto* block : model.llm().blocks()) {
      const double own = trained(*block);
      in_blocks += own, largest = std::max(largest, own);
    }
    return {2 * compute * largest, kept - (narrow.empty() ? 4 : 2) * in_blocks};
  }

  void move_to_host(double kept) {
    const auto [blocks, others] = visiting(kept);
    if (device == at::kCPU) {
      memory.parameters += blocks + others, memory.gradients += blocks;
      return;
    }
    memory.loading = std::max(memory.loading, memory.parameters);  // all of it is on the device once
    memory.host = kept + memory.optimizer + memory.reference + memory.gradients;
    memory.parameters += blocks + others - kept, memory.gradients = blocks + others;
    memory.optimizer = memory.reference = 0;
  }

  // A trained matrix is kept a second time in the format that it is multiplied in.
  void add_casts(Module& module) {
    const bool of_llm = &module == &model.llm().module();
    if (of_llm && config.parallel.offload_optimizer && config.parallel.reshard) return;  // they come in that format
    const double kept = of_llm ? narrow_values() : 0;
    if (compute < 4) memory.activations += (trained(module) - kept) * compute;
  }

  void add_llm() {
    auto& module = model.llm().module();
    memory.activations +=
        tokens * kept(module, static_cast<double>(model.llm().hidden_size()), kept_probabilities()) * compute;
    add_casts(module);
    if (!config.precision.weights.empty())  // one matrix at a time is what it stands for, or a tile of it
      memory.activations += std::min(largest_matrix(module), config.precision.weights == "nf4" ? kTile : HUGE_VAL) *
                            (compute + (device == at::kCPU ? 0 : kUnpacking));
    if (whole.scores() == 0) add_logits();
  }

  void add_logits() {
    const auto head = model.llm().head_weight();
    const auto numbers = static_cast<double>(head.numel());
    memory.activations += std::min(static_cast<double>(config.train.logits_chunk), tokens) *
                          static_cast<double>(head.size(0)) * (compute + 4);
    if (!config.precision.weights.empty()) memory.activations += numbers * compute;  // what the head stands for
    if (!head.requires_grad()) return;
    memory.activations += 2 * 4 * numbers;  // the loss makes the head's gradient at once, and scales it
    memory.gradients += (narrow.empty() ? 4 : 2) * numbers;  // that of the embedding, before it is added to the others
  }

  void add_encoder(const model::Stream::EncoderSlot& slot) {
    auto& encoder = *slot.encoder;
    const auto shape = encoder.example_shape();
    const auto part = static_cast<double>(c10::multiply_integers(shape));
    const auto vectors = static_cast<double>(encoder.output_grid(shape).count());
    memory.data += static_cast<double>(config.data.prefetch) * part * 4;
    if (slot.spec.trained()) {
      memory.activations +=
          items() * (vectors * kept(encoder.module(), static_cast<double>(encoder.output_size())) + part) * compute;
      add_casts(encoder.module());
    } else {
      // Laid out a second time for products of bf16 (nn/linear/packed_weight.h).
      if (compute < 4 && device == at::kCPU) memory.parameters += linear_numbers(encoder.module()) * compute;
      const double at_once = encoder.modality() == Modality::image ? std::min(items(), 2048 / vectors) : 1;
      memory.encoding += std::max(1.0, at_once) * (vectors * passing_numbers(encoder.module()) + 2 * part) * compute;
    }
  }

  void add_connector(model::Stream& stream) {
    auto& module = stream.connector().module();
    memory.activations +=
        items() * static_cast<double>(stream.example_tokens()) * kept_numbers(module, compute < 4) * compute;
    add_casts(module);
  }
};

}  // namespace

Memory estimate_memory(const RunConfig& config, model::Model& model, const UpdateRule& rule, const Objective& objective,
                       at::DeviceType device) {
  Estimator e{config, model, rule, objective, device};
  e.memory.program = train::resident_bytes() + kThreads;
  e.add_parameters();
  e.add_llm();
  for (const auto& [name, stream] : model.lm().streams()) {
    for (const auto& slot : stream->encoders()) e.add_encoder(slot);
    e.add_connector(*stream);
  }
  for (auto* stage : {&e.memory.encoding, &e.memory.activations, &e.memory.gradients}) *stage *= kMore;
  return e.memory;
}

}  // namespace antiphon::run
