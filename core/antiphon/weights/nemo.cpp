#include <antiphon/weights/nemo.h>

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/record/tar.h>
#include <antiphon/component/record/yaml.h>
#include <antiphon/weights/torch/torch_file.h>

namespace antiphon::weights {
namespace {

using nlohmann::json;

constexpr const char *kModelConfig = "model_config.yaml", *kModelWeights = "model_weights.ckpt";
constexpr const char* kPerception = "perception.";  // SALM's name for the encoder with what belongs to it

std::optional<records::TarMember> find_member(const OpenFile& file, std::string_view name) {
  records::TarWalk walk(file);
  while (auto member = walk.next())
    if (member->name == name) return member;
  return std::nullopt;
}

records::TarMember member_of(const std::filesystem::path& path, const char* name) {
  const OpenFile file(path, ErrorKind::weights);
  if (file.read(0, 2) == "\x1f\x8b")
    fail(ErrorKind::weights, path.string() + " is compressed", "unpack it: gunzip -c FILE > UNPACKED.nemo");
  try {
    if (const auto member = find_member(file, name)) return *member;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    fail(ErrorKind::weights, error.message());
  }
  fail(ErrorKind::weights, fmt::format("{} has no {}, as NeMo's archives have", path.string(), name),
       "name a .nemo file of a whole model, or its Hugging Face directory");
}

// A table of model_config.yaml whose keys are all to be known.
class NemoKeys {
 public:
  NemoKeys(const json& table, std::string where) : table_(table), where_(std::move(where)) {
    if (!table_.is_object()) refuse("", "is not a table");
  }

  [[noreturn]] void refuse(const std::string& key, const std::string& why) const {
    fail(ErrorKind::weights, fmt::format("{}{}{} {}", where_, key.empty() ? "" : ".", key, why),
         "convert the model to a Hugging Face directory, or use another encoder");
  }
  // A key that is missing or null is as `fallback`.
  json value(const std::string& key, const json& fallback) {
    known_.insert(key);
    const auto found = table_.find(key);
    return found == table_.end() || found->is_null() ? fallback : *found;
  }
  json number(const std::string& key, const json& fallback) {
    const auto found = value(key, fallback);
    if (!found.is_number()) refuse(key, fmt::format("is {}, which is not a number", shown(found.dump())));
    return found;
  }
  // One of the values that are computed here, of which the first is the default.
  void fixed(const std::string& key, const std::vector<json>& values) {
    const auto found = value(key, values.front());
    if (std::ranges::find(values, found) == values.end())
      refuse(key, fmt::format("is {}; read is {}", shown(found.dump()), values.front().dump()));
  }
  void ends_in(const std::string& key, const std::string& name) {
    const auto found = value(key, "");
    if (!found.is_string() || !found.get<std::string>().ends_with(name))
      refuse(key, fmt::format("is {}; read is {}", shown(found.dump()), name));
  }
  // Of no effect on what is computed, or in training only.
  void of_no_effect(std::initializer_list<const char*> keys) { known_.insert(keys.begin(), keys.end()); }
  void check_all_known() const {
    std::vector<std::string> unknown;
    for (const auto& [key, found] : table_.items())
      if (!known_.contains(key) && !found.is_null()) unknown.push_back(shown(key));
    if (!unknown.empty()) refuse("", fmt::format("has keys that are not known: {}", join(unknown, ", ")));
  }

 private:
  const json& table_;
  std::string where_;
  std::set<std::string> known_;
};

// The archive's configuration, or SALM's of its speech encoder; `where` names it.
json nemo_speech_config(const std::filesystem::path& path, std::string& where) {
  const auto member = member_of(path, kModelConfig);
  const OpenFile file(path, ErrorKind::weights);
  where = path.string() + ": " + kModelConfig + ": ";
  constexpr uint64_t most = 16 << 20;
  if (member.size > most)
    fail(ErrorKind::weights, fmt::format("{}{} bytes, at most {} are read", where, member.size, most));
  auto config = records::parse_yaml(file.read(member.offset, member.size), path.string() + ": " + kModelConfig,
                                    ErrorKind::weights);
  if (config.contains("perception") && config["perception"].is_object())
    where += kPerception, config = json(config["perception"]);
  for (const char* part : {"encoder", "preprocessor"})
    if (!config.is_object() || !config.contains(part))
      fail(ErrorKind::weights, fmt::format("{}there is no '{}': this is not a speech model that is read", where, part),
           "read are FastConformer models: Parakeet, Canary, SALM");
  return config;
}

int64_t samples_of(const json& seconds) { return std::llround(seconds.get<double>() * 16000); }

// Replaced wherever they stand in a name.
constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kNemoNames{
    {{"encoder.pre_encode.conv.", "encoder.subsampling.layers."},
     {"encoder.pre_encode.out.", "encoder.subsampling.linear."},
     {".conv.batch_norm.", ".conv.norm."},
     {".linear_q.", ".q_proj."},
     {".linear_k.", ".k_proj."},
     {".linear_v.", ".v_proj."},
     {".linear_out.", ".o_proj."},
     {".linear_pos.", ".relative_k_proj."},
     {".pos_bias_u", ".bias_u"},
     {".pos_bias_v", ".bias_v"},
     {"encoder.pos_enc.", "encoder.encode_positions."}}};

std::string renamed_as_published(std::string name) {
  for (const auto& [from, to] : kNemoNames)
    if (const auto at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
  return name;
}

// "10 of transf_decoder, 2 of log_softmax": the modules beside the encoder, those of SALM's speech part one by one.
class NemoRest {
 public:
  void add(std::string_view name) {
    const size_t from = name.starts_with(kPerception) ? std::string_view(kPerception).size() : 0;
    ++counts_[std::string(name.substr(0, name.find('.', from)))];
  }
  std::string said() const {
    constexpr size_t most = 12;
    std::vector<std::string> parts;
    for (const auto& [module, count] : counts_)
      if (parts.size() < most) parts.push_back(fmt::format("{} of {}", count, shown(module)));
    if (counts_.size() > most) parts.push_back(fmt::format("those of {} modules more", counts_.size() - most));
    return join(parts, ", ");
  }

 private:
  std::map<std::string, size_t> counts_;
};

// What SALM's projection is called depends on what is before it: an adapter, whose last layer it is, or nothing.
bool has_adapter(const std::filesystem::path& path) {
  std::string where;
  const auto adapter = nemo_speech_config(path, where).value("modality_adapter", json());
  const auto target = adapter.is_object() ? adapter.value("_target_", json()) : json();
  return !target.is_string() || !target.get<std::string>().ends_with("IdentityConnector");
}

// The name here of a tensor of the speech part; "" for what no component here has.
std::string nemo_name_here(std::string_view name, bool salm, const std::function<bool()>& adapted) {
  if (name.starts_with("encoder.")) return renamed_as_published(std::string(name));
  if (!salm || name.ends_with("num_batches_tracked")) return {};
  if (name.starts_with("modality_adapter.")) return renamed_as_published(std::string(name));
  if (!name.starts_with("proj.")) return {};
  return (adapted() ? "modality_adapter." : "") + std::string(name);
}

}  // namespace

bool is_nemo(const std::filesystem::path& path) { return path.extension() == ".nemo"; }

json nemo_config(const std::filesystem::path& path) {
  std::string where;
  const auto config = nemo_speech_config(path, where);
  NemoKeys keys(config["encoder"], where + "encoder");
  keys.ends_in("_target_", "ConformerEncoder");
  keys.fixed("subsampling", {"dw_striding"});
  keys.fixed("self_attention_model", {"rel_pos"});
  keys.fixed("att_context_size", {json::array({-1, -1}), json::array({json::array({-1, -1})})});
  keys.fixed("att_context_style", {"regular"});
  keys.fixed("conv_norm_type", {"batch_norm"});
  keys.fixed("untie_biases", {true});
  for (const char* key : {"causal_downsampling", "global_attn_separate", "bypass_pre_encode"}) keys.fixed(key, {false});
  keys.fixed("reduction_factor", {1});
  keys.fixed("global_tokens", {0});
  keys.fixed("feat_out", {-1});
  for (const char* key : {"conv_context_size", "reduction", "reduction_position"}) keys.fixed(key, {nullptr});
  keys.of_no_effect({"dropout", "dropout_pre_encoder", "dropout_emb", "dropout_att", "stochastic_depth_drop_prob",
                     "stochastic_depth_mode", "stochastic_depth_start_layer", "pos_emb_max_len",
                     "subsampling_conv_chunking_factor", "sync_max_audio_length", "use_pytorch_sdpa",
                     "use_pytorch_sdpa_backends", "att_context_probs", "global_tokens_spacing"});
  const auto width = keys.number("d_model", 256);
  const auto bias = keys.value("use_bias", true);
  json out{{"model_type", "parakeet_encoder"},
           {"hidden_size", width},
           {"intermediate_size", width.get<int64_t>() * keys.number("ff_expansion_factor", 4).get<int64_t>()},
           {"num_hidden_layers", keys.number("n_layers", 0)},
           {"num_attention_heads", keys.number("n_heads", 4)},
           {"num_mel_bins", keys.number("feat_in", 80)},
           {"conv_kernel_size", keys.number("conv_kernel_size", 31)},
           {"subsampling_factor", keys.number("subsampling_factor", 4)},
           {"attention_bias", bias},
           {"convolution_bias", bias},
           {"scale_input", keys.value("xscaling", true)}};
  if (config.contains("modality_adapter")) out["modality_adapter"] = config["modality_adapter"];
  const auto channels = keys.number("subsampling_conv_channels", -1);
  out["subsampling_conv_channels"] = channels == -1 ? width : channels;
  keys.check_all_known();
  return out;
}

json nemo_preprocessor_config(const std::filesystem::path& path) {
  std::string where;
  const auto config = nemo_speech_config(path, where);
  NemoKeys keys(config["preprocessor"], where + "preprocessor");
  keys.ends_in("_target_", "AudioToMelSpectrogramPreprocessor");
  keys.fixed("normalize", {"per_feature"});
  keys.fixed("window", {"hann"});
  keys.fixed("log", {true});
  keys.fixed("frame_splicing", {1});
  keys.fixed("mag_power", {2});
  keys.fixed("lowfreq", {0});
  keys.fixed("highfreq", {nullptr, 8000});
  keys.fixed("exact_pad", {false});
  keys.fixed("mel_norm", {"slaney"});
  for (const char* key : {"n_window_size", "n_window_stride"}) keys.fixed(key, {nullptr});
  keys.fixed("log_zero_guard_type", {"add"});
  keys.fixed("log_zero_guard_value", {std::ldexp(1.0, -24)});
  keys.of_no_effect({"dither", "pad_to", "nb_augmentation_prob", "nb_max_freq", "rng", "use_torchaudio", "use_grads",
                     "stft_conv", "stft_exact_pad"});
  json out{{"feature_extractor_type", "ParakeetFeatureExtractor"},
           {"feature_size", keys.number("features", 64)},
           {"sampling_rate", keys.number("sample_rate", 16000)},
           {"win_length", samples_of(keys.number("window_size", 0.02))},
           {"hop_length", samples_of(keys.number("window_stride", 0.01))},
           {"n_fft", keys.number("n_fft", 512)},
           {"preemphasis", keys.number("preemph", 0.97)},
           {"padding_value", keys.number("pad_value", 0)}};
  keys.check_all_known();
  return out;
}

LazyTensors nemo_tensors(const std::filesystem::path& path, std::vector<std::string>& warnings) {
  const auto member = member_of(path, kModelWeights);
  auto all = torch_tensors(open_bytes(path).part(member.offset, member.size, kModelWeights), warnings);
  LazyTensors encoder;
  NemoRest rest;
  std::optional<bool> known;
  const auto adapted = [&] { return known ? *known : *(known = has_adapter(path)); };
  for (auto& tensor : all) {
    std::string_view name = tensor.name;
    const bool salm = name.starts_with(kPerception);
    if (salm) name.remove_prefix(std::string_view(kPerception).size());
    auto here = nemo_name_here(name, salm, adapted);
    if (here.empty()) {
      rest.add(tensor.name);
      continue;
    }
    tensor.name = std::move(here);
    encoder.push_back(std::move(tensor));
  }
  if (encoder.empty())
    fail(ErrorKind::weights, fmt::format("{}: none of its {} tensors is of an encoder", path.string(), all.size()),
         "read are FastConformer models: Parakeet, Canary, SALM");
  if (encoder.size() < all.size())
    warnings.push_back(fmt::format("{}: {} of {} tensors are of the speech part; not read: {}", path.string(),
                                   encoder.size(), all.size(), rest.said()));
  return encoder;
}

}  // namespace antiphon::weights
