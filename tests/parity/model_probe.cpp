// Runs components and whole models for the Python oracles in tests/parity/models.
//
// One request a line on stdin as JSON, one answer a line on stdout: what was asked for, or {"error": "…"}. Tensors are
// read from the safetensors file "inputs" and written to the file "outputs".
#include "model_probe.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <iostream>

#include <antiphon/base/log.h>
#include <antiphon/component/adapter_file.h>
#include <antiphon/component/connector.h>
#include <antiphon/component/encoder.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/objective.h>
#include <antiphon/component/register.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/component/update_rule.h>
#include <antiphon/component/voice_activity.h>
#include <antiphon/kernels/mm.h>
#include <antiphon/media/decode.h>
#include <antiphon/media/image/edge_image.h>
#include <antiphon/media/image/native_image.h>
#include <antiphon/media/image/resize.h>
#include <antiphon/media/image/tiles.h>
#include <antiphon/model/slot.h>
#include <antiphon/model/sound_within.h>
#include <antiphon/nn/smoothing.h>
#include <antiphon/nn/token_scores.h>
#include <antiphon/run/device.h>
#include <antiphon/run/training_slots.h>
#include <antiphon/train/loss_scale.h>
#include <antiphon/train/optimizer.h>
#include <antiphon/weights/load.h>

namespace antiphon::probe {

config::Value toml(const json& request, const char* key) { return config::parse_toml(request.value(key, ""), key); }

at::ScalarType dtype_of(const json& request) {
  const auto name = request.value("dtype", "fp32");
  return name == "bf16" ? at::kBFloat16 : name == "fp16" ? at::kHalf : name == "fp64" ? at::kDouble : at::kFloat;
}

at::Device device() {
  const char* name = std::getenv("ANTIPHON_TEST_DEVICE");
  static const auto opened = run::open_device(name ? name : "cpu");
  return opened;
}

void write_outputs(const json& request, NamedTensors tensors) {
  for (auto& [name, tensor] : tensors) tensor = tensor.detach().cpu().contiguous();
  weights::save_safetensors(request.at("outputs").get<std::string>(), tensors);
}

void add_gradients(NamedTensors& out, const std::string& prefix, Module& module, const NameMap& names) {
  for (const auto& parameter : module.parameters()) {
    if (!parameter.tensor->requires_grad()) continue;
    const auto& grad = parameter.tensor->grad();
    const auto name = names.to_checkpoint(parameter.name).value_or(parameter.name);
    out.emplace_back(prefix + name.substr(0, name.find(kOursBehind)),
                     grad.defined() ? grad : at::zeros_like(*parameter.tensor));
  }
}

namespace {

template <class Interface, class... Extra>
std::unique_ptr<Interface> build(const json& request, Extra... extra) {
  config::Problems problems;
  auto options = toml(request, "options");
  const std::string weights =
      std::is_same_v<Interface, Encoder> || request.contains("part") ? request.value("weights", "") : "";
  auto component =
      model::build_slot<Interface>(request.at("plugin").get<std::string>(), {weights, request.value("part", "")},
                                   options, KindOf<Interface>::name, problems, extra...);
  problems.throw_if_any();
  return component;
}

// Trainable in fp32 and fp64; a frozen copy in the number format asked for otherwise.
void load(Module& module, const NameMap& names, const json& request) {
  const auto dtype = dtype_of(request);
  module.set_requires_grad(dtype == at::kFloat || dtype == at::kDouble);
  weights::LoadOptions options;
  options.frozen_dtype = dtype;
  weights::load_parameters(module, weights::Checkpoint(request.at("weights").get<std::string>()), names, options);
  if (dtype == at::kDouble || !device().is_cpu()) module.to(device(), dtype);
}

json as_json(const TokenGrid& grid) { return {grid.rows, grid.columns}; }

weights::SafetensorsFile inputs_of(const json& request) {
  return weights::SafetensorsFile(request.at("inputs").get<std::string>());
}

// y and, if "grad" is among the inputs, the gradients of sum(y * grad), the running statistics after that
// ("fixed:<name>"), and y again without any gradient ("y_frozen"). "training": as in a training run, with LibTorch's
// generator seeded by "seed". "peft": methods on the module, whose gradients are "grad:peft.<index>:<name>".
template <class Forward>
void run_module(const json& request, Module& module, const NameMap& names, const Forward& forward) {
  const auto methods = add_methods(request, module, names);
  const auto file = inputs_of(request);
  auto x = file.tensor("x").to(device(), dtype_of(request));
  const bool backward = file.contains("grad");
  if (backward) x = x.clone().set_requires_grad(true);
  std::optional<TrainingPass> training;
  if (request.value("training", false)) training.emplace();
  at::manual_seed(request.value("seed", 0));
  const auto y = forward(x);
  NamedTensors out{{"y", y}};
  if (backward) {
    torch::autograd::backward({y}, {file.tensor("grad").to(y.options())});
    out.emplace_back("grad_x", x.grad());
    const at::NoGradGuard frozen;
    const TrainingPass evaluation(false);
    out.emplace_back("y_frozen", forward(x));
    add_gradients(out, "grad:", module, names);
    for (const auto& peft : methods)
      add_gradients(out, fmt::format("grad:peft.{}:", peft.index), peft.method->module(), {});
    for (const auto& parameter : module.parameters())
      if (parameter.fixed) out.emplace_back("fixed:" + parameter.name, *parameter.tensor);
  }
  write_outputs(request, std::move(out));
}

json run_encoder(const json& request) {
  const auto encoder = build<Encoder>(request);
  load(encoder->module(), encoder->name_map(), request);
  TokenGrid grid;
  run_module(request, encoder->module(), encoder->name_map(), [&](const at::Tensor& x) {
    grid = encoder->output_grid(x.sizes().slice(1));
    return encoder->forward(x);
  });
  return {{"grid", as_json(grid)}, {"output_size", encoder->output_size()}};
}

// Windows one after the other, x [windows, sounds, samples].
json run_voice_activity(const json& request) {
  const auto detector = build<VoiceActivity>(request);
  load(detector->module(), detector->name_map(), request);
  run_module(request, detector->module(), detector->name_map(), [&](const at::Tensor& x) {
    at::Tensor state;
    std::vector<at::Tensor> y;
    for (const auto& window : x.unbind()) y.push_back(detector->forward(window, state));
    return at::stack(y);
  });
  return json::object();
}

// Parts of these lengths, which lie one after the other in x [1, sum, input_size], as the graph gives them.
at::Tensor connect_parts(Connector& connector, const at::Tensor& x, const std::vector<int64_t>& lengths) {
  std::vector<TokenGrid> grids;
  for (const auto length : lengths) grids.push_back({1, length});
  return connector.project(at::cat(connector.arrange_all(x.squeeze(0).split_with_sizes(lengths), grids))).unsqueeze(0);
}

// The parts x [1 + rows * columns, grid.count(), input_size] of a picture in tiles, "tiling" [rows, columns, height,
// width], as one sequence [1, item_tokens(), output_size].
at::Tensor connect_tiles(Connector& connector, const at::Tensor& x, const TokenGrid& grid, const json& tiling) {
  const auto out = connector.output_grid(grid);
  const auto parts = connector.forward(x, grid).reshape({x.size(0), out.rows, out.columns, -1});
  return connector.assemble(parts.unbind(), {tiling.at(0), tiling.at(1), tiling.at(2), tiling.at(3)}).unsqueeze(0);
}

json run_connector(const json& request) {
  const ConnectorShape shape{request.at("input_size").get<int64_t>(), request.at("output_size").get<int64_t>()};
  const auto connector = build<Connector>(request, shape);
  const NameMap names{
      {{"{}", "{}"}}, {}, model::whole_names(request.at("weights").get<std::string>(), request.value("part", ""))};
  load(connector->module(), names, request);
  const TokenGrid grid{request.at("rows").get<int64_t>(), request.at("columns").get<int64_t>()};
  const auto lengths = request.value("lengths", std::vector<int64_t>());
  run_module(request, connector->module(), names, [&](const at::Tensor& x) {
    if (request.contains("tiling")) return connect_tiles(*connector, x, grid, request["tiling"]);
    return lengths.empty() ? connector->forward(x, grid) : connect_parts(*connector, x, lengths);
  });
  return {{"grid", as_json(connector->output_grid(grid))}};
}

// Media files through the encoder's own processor: "<item>.<part>".
json run_process(const json& request) {
  const auto encoder = build<Encoder>(request);
  NamedTensors out;
  json grids = json::array();
  for (const auto& path : request.at("media")) {
    MediaItem item;
    item.modality = encoder->modality();
    if (item.modality == Modality::image)
      item.image = media::load_image(path.get<std::string>());
    else
      item.audio = media::load_audio(path.get<std::string>(), encoder->sample_rate());
    grids.push_back(json::array());
    for (const auto& part : encoder->process(item)) {
      out.emplace_back(std::to_string(grids.size() - 1) + "." + std::to_string(grids.back().size()), part);
      grids.back().push_back(as_json(encoder->output_grid(part.sizes())));
    }
  }
  write_outputs(request, std::move(out));
  return {{"grids", grids}};
}

json as_json(const FrameChoice& choice) {
  return {{"numbers", choice.numbers}, {"height", choice.height}, {"width", choice.width}};
}

VideoWish wish_of(const json& request) { return {request.value("frames", 0), request.value("frames_per_second", 0.0)}; }

// What an encoder takes of "videos" [frames, frames a second, height, width], or null if one is refused.
json run_frames(const json& request) {
  const auto encoder = build<Encoder>(request);
  json answers = json::array();
  for (const auto& video : request.at("videos")) {
    try {
      const VideoShape shape{video.at(0), video.at(1), video.at(2), video.at(3)};
      const auto choice = encoder->video()->choose(shape, wish_of(request));
      answers.push_back(as_json(choice));
      answers.back()["step"] = encoder->video()->part_step({{}, choice.numbers, shape.frames, shape.per_second}).step;
    } catch (const Error&) {
      answers.push_back(nullptr);
    }
  }
  return {{"choices", answers}};
}

Image image_of(const at::Tensor& frame_hwc) {
  const auto bytes = frame_hwc.contiguous();
  const auto* first = bytes.const_data_ptr<uint8_t>();
  return {bytes.size(0), bytes.size(1), {first, first + bytes.numel()}};
}

// The video "frames" [frames, height, width, 3] of bytes, "per_second", through the encoder: "<piece>.<part>".
json run_video(const json& request) {
  const auto encoder = build<Encoder>(request);
  const auto file = inputs_of(request);
  const auto video = file.tensor("frames");
  const VideoShape shape{video.size(0), request.at("per_second"), video.size(1), video.size(2)};
  const auto choice = encoder->video()->choose(shape, wish_of(request));
  Frames frames{{}, choice.numbers, shape.frames, shape.per_second};
  for (const auto number : choice.numbers)
    frames.images.push_back(media::resize(image_of(video[number]), {choice.height, choice.width},
                                          media::filter_from_number(choice.resample)));
  NamedTensors out;
  json texts = json::array(), steps = json::array();
  for (auto& [text, piece] : encoder->video()->pieces(std::move(frames))) {
    MediaItem item{Modality::video, {}, {}};
    item.video = std::move(piece);
    texts.push_back(text);
    if (item.video.images.empty()) continue;
    steps.push_back(encoder->video()->part_step(item.video).step);
    int64_t part = 0;
    for (const auto& tensor : encoder->process(item))
      out.emplace_back(std::to_string(texts.size() - 1) + "." + std::to_string(part++), tensor);
  }
  write_outputs(request, std::move(out));
  return {{"choice", as_json(choice)}, {"texts", texts}, {"steps", steps}};
}

// For pictures of "sizes" [height, width]: how many tiles, and how many embeddings a connector makes of them.
json run_tiles(const json& request) {
  const auto encoder = build<Encoder>(request);
  config::Problems problems;
  config::Value none = config::Value::Table{};
  const auto connector = model::build_slot<Connector>(request.at("connector").get<std::string>(), {}, none, "connector",
                                                      problems, ConnectorShape{encoder->output_size(), 8});
  problems.throw_if_any();
  json answers = json::array();
  for (const auto& size : request.at("sizes")) {
    const MediaItem item{Modality::image, {size.at(0), size.at(1), {}}, {}};
    const auto tiling = encoder->tiling(item);
    const auto grid = connector->output_grid(encoder->output_grid(encoder->example_shape()));
    const std::vector<TokenGrid> parts(static_cast<size_t>(1 + tiling.rows * tiling.columns), grid);
    answers.push_back({tiling.rows, tiling.columns, connector->item_tokens(parts, tiling)});
  }
  return {{"tiles", answers}};
}

// For pictures [height, width] or sounds [samples] of "shapes", all of them zero: how many parts an encoder makes of
// each, and how many vectors, or how many embeddings a connector makes of these; null of what is refused.
json run_part_counts(const json& request) {
  const auto encoder = build<Encoder>(request);
  std::unique_ptr<Connector> connector;
  if (request.contains("connector")) {
    config::Problems problems;
    auto options = toml(request, "connector_options");
    connector = model::build_slot<Connector>(request.at("connector").get<std::string>(), {}, options, "connector",
                                             problems, ConnectorShape{encoder->output_size(), 8});
    problems.throw_if_any();
  }
  json answers = json::array();
  for (const auto& shape : request.at("shapes")) {
    MediaItem item{encoder->modality(), {}, {}};
    if (item.modality == Modality::image)
      item.image = {shape.at(0), shape.at(1),
                    std::vector<uint8_t>(shape[0].get<size_t>() * shape[1].get<size_t>() * 3)};
    else
      item.audio = {encoder->sample_rate(), std::vector<float>(shape.at(0).get<size_t>())};
    try {
      const auto parts = encoder->process(item);
      int64_t vectors = 0;
      for (const auto& part : parts) {
        const auto grid = encoder->output_grid(part.sizes());
        vectors += (connector ? connector->output_grid(grid) : grid).count();
      }
      answers.push_back({parts.size(), vectors});
    } catch (const Error&) {
      answers.push_back(nullptr);
    }
  }
  return {{"counts", answers}};
}

// For pictures of "sizes" [height, width] what they become, or null if they are refused.
json run_native_sizes(const json& request) {
  json answers = json::array();
  for (const auto& size : request.at("sizes")) {
    try {
      const auto out = media::native_size({size.at(0), size.at(1)}, request.at("multiple"), request.at("min_pixels"),
                                          request.at("max_pixels"));
      answers.push_back({out.height, out.width});
    } catch (const Error&) {
      answers.push_back(nullptr);
    }
  }
  return {{"sizes", answers}};
}

// How many rows and columns of squares they are stretched over.
json run_tile_grids(const json& request) {
  json answers = json::array();
  for (const auto& size : request.at("sizes")) {
    const auto grid =
        media::tile_grid({size.at(0), size.at(1)}, request.at("edge"), request.at("least"), request.at("most"));
    answers.push_back({grid.height, grid.width});
  }
  return {{"grids", answers}};
}

// The same for pictures that keep their shape up to "longest_edge".
json run_edge_sizes(const json& request) {
  json answers = json::array();
  for (const auto& size : request.at("sizes")) {
    try {
      const auto out = media::edge_size({size.at(0), size.at(1)}, request.at("longest_edge"), request.at("multiple"));
      answers.push_back({out.height, out.width});
    } catch (const Error&) {
      answers.push_back(nullptr);
    }
  }
  return {{"sizes", answers}};
}

// A sound of "sound" embeddings among those of the span, in chunks of "chunk" positions.
void add_sound(const json& media, MediaSpan& span) {
  model::StreamItem video, sound;
  video.grids = span.parts, video.part_step = span.part_step;
  for (const auto& part : span.parts) video.part_tokens.push_back(part.count());
  sound.tokens = media.at("sound");
  model::put_within(sound, video, media.at("chunk"), {});
  span.tokens = video.tokens, span.runs = video.runs;
}

// Where a language model puts the tokens of "layouts": {"tokens", "media": [{"begin", "parts": [[rows, columns]],
// "step", "sound", "chunk"}]}; and of each sound the runs of it and its video.
json run_positions(const json& request) {
  const auto model = build<LanguageModel>(request);
  NamedTensors out;
  json runs = json::array();
  for (const auto& layout : request.at("layouts")) {
    SampleLayout sample{layout.at("tokens"), {}};
    for (const auto& media : layout.at("media")) {
      MediaSpan span{media.at("begin"), 0, {}, {media.value("step", 1.0), media.value("rate", 1.0)}};
      for (const auto& part : media.at("parts")) span.parts.push_back({part.at(0), part.at(1)});
      for (const auto& part : span.parts) span.tokens += part.count();
      if (media.contains("sound")) add_sound(media, span), runs.push_back(span.runs);
      sample.media.push_back(span);
    }
    out.emplace_back(std::to_string(out.size()), model->positions(sample));
  }
  write_outputs(request, std::move(out));
  return {{"runs", runs}};
}

// sft over the log-probabilities of tokens: the loss, and its gradients with and without knowing that they are even.
json run_loss(const json& request) {
  const auto objective = build<Objective>(request);
  const auto file = inputs_of(request);
  auto leaf = [&](const char* name) {
    return file.tensor(name).to(device(), dtype_of(request)).clone().set_requires_grad(true);
  };
  const auto hidden = leaf("hidden"), head = leaf("head"), labels = file.tensor("labels").to(device());
  ObjectiveInput input;
  const nn::Smoothing smoothing{request.value("label_smoothing", 0.0), request.value("z_loss", 0.0)};
  const nn::Smoothing::Scope smoothed(smoothing);
  input.logp_n = nn::token_scores(hidden, head, labels, {request.at("chunk"), request.at("even")});
  input.counts = {labels.size(0)}, input.groups = {1};
  input.totals = {request.at("normalizer").get<int64_t>(), 1, 1};
  const auto loss = objective->forward(input).loss;
  torch::autograd::backward({loss}, {});
  write_outputs(
      request,
      {{"loss", loss}, {"token_loss", -input.logp_n}, {"grad_hidden", hidden.grad()}, {"grad_head", head.grad()}});
  return json::object();
}

json run_objective(const json& request) {
  const auto objective = build<Objective>(request);
  const auto file = inputs_of(request);
  const auto counts = file.tensor("counts");
  ObjectiveInput input;
  const auto leaf =
      file.tensor(file.contains("scores") ? "scores" : "logp").to(device()).clone().set_requires_grad(true);
  (file.contains("scores") ? input.scores_sk : input.logp_n) = leaf;
  input.first_own = request.value("first_own", 0), input.own_sequences = request.value("own_sequences", 0);
  if (file.contains("reference")) input.reference_n = file.tensor("reference").to(device()).clone();
  if (file.contains("behaviour")) input.behaviour_n = file.tensor("behaviour").to(device()).clone();
  input.counts.assign(counts.const_data_ptr<int64_t>(), counts.const_data_ptr<int64_t>() + counts.numel());
  input.groups = request.at("groups").get<std::vector<int64_t>>();
  const auto numbers = [&](const char* name) {  // float64, of each sequence
    const auto all = file.tensor(name);
    return std::vector<double>(all.const_data_ptr<double>(), all.const_data_ptr<double>() + all.numel());
  };
  input.weights.assign(input.counts.size(), 1);
  if (file.contains("weights")) input.weights = numbers("weights");
  if (file.contains("values")) input.values = numbers("values");
  input.totals.groups = static_cast<int64_t>(input.groups.size());
  for (size_t i = 0; i < input.counts.size(); ++i)
    if (input.weights[i] != 0) input.totals.tokens += input.counts[i], ++input.totals.sequences;
  for (size_t i = 0; i < input.counts.size(); i += static_cast<size_t>(input.groups.front()))
    input.totals.preferred_tokens += input.counts[i];
  const auto out = objective->forward(input);
  torch::autograd::backward({out.loss}, {});
  json metrics = json::object();
  for (const auto& metric : out.metrics) metrics[metric.name] = metric.sum.sum().item<double>() / metric.count;
  write_outputs(request, {{"loss", out.loss}, {"grad", leaf.grad()}});
  return {{"metrics", metrics}};
}

Role role_of(const std::string& name) {
  const std::map<std::string, Role> known{
      {"matrix", Role::matrix}, {"vector", Role::vector}, {"embedding", Role::embedding}, {"filter", Role::filter}};
  return known.at(name);
}

// "steps" updates of the parameters in "roles" by their gradients "<name>.grad.<step>".
json run_optimizer(const json& request) {
  const auto rule = build<UpdateRule>(request);
  const auto file = inputs_of(request);
  c10::AutoGradMode no_grad(false);
  NamedTensors out;
  std::vector<UpdateItem> items;
  for (const auto& [name, role] : request.at("roles").items()) {
    out.emplace_back(name, file.tensor(name).to(device()).clone());
    auto& item = items.emplace_back(UpdateItem{out.back().second, {}, {}, role_of(role), {}});
    for (const auto& [key, tensor] : rule->make_state({name, &item.parameter, Init::zeros, item.role}))
      item.state.push_back(tensor);
  }
  for (int64_t step = 0; step < request.at("steps").get<int64_t>(); ++step) {
    for (size_t i = 0; i < out.size(); ++i)
      items[i].gradient = file.tensor(fmt::format("{}.grad.{}", out[i].first, step)).to(device()).clone();
    rule->update(items, request.at("lr"), request.at("weight_decay"));
  }
  write_outputs(request, std::move(out));
  return json::object();
}

// "steps" updates as the trainer makes them in fp16, of the parameters "names" by their gradients "<name>.grad.<step>",
// which are computed with the loss scale of "precision": the parameters, and "scales" after each step.
json run_scaled(const json& request) {
  config::Problems problems;
  auto options = train::train_table().parse(toml(request, "train"), "train", problems);
  const auto precision = train::precision_table().parse(toml(request, "precision"), "precision", problems);
  problems.throw_if_any();
  const auto rule = run::build_update_rule(options.optimizer);
  const auto file = inputs_of(request);
  NamedTensors values;
  for (const std::string name : request.at("names"))
    values.emplace_back(name, file.tensor(name).to(device()).clone().set_requires_grad(true));
  std::vector<Parameter> parameters;
  for (auto& [name, value] : values) parameters.push_back({name, &value, Init::zeros, Role::matrix});
  train::Optimizer optimizer(parameters, options, *rule);
  train::LossScale scale(precision.loss_scale);
  std::vector<float> scales;
  for (int64_t step = 0; step < request.at("steps").get<int64_t>(); ++step) {
    for (auto& [name, value] : values)
      value.mutable_grad() = (file.tensor(fmt::format("{}.grad.{}", name, step)).to(device()) * scale.value())
                                 .to(at::kHalf)
                                 .to(at::kFloat);
    optimizer.scale_gradients(scale.inverse());
    const bool overflow = !std::isfinite(optimizer.clip(options.clip_norm));
    overflow ? optimizer.drop_gradients() : optimizer.step(1);
    scale.update(overflow);
    scales.push_back(scale.value());
  }
  for (auto& [name, value] : values) value = value.detach();
  values.emplace_back("scales", at::tensor(scales));
  write_outputs(request, std::move(values));
  return json::object();
}

json answer(const std::string& line) {
  const auto request = json::parse(line);
  const auto kind = request.at("kind").get<std::string>();
  if (kind == "encoder") return run_encoder(request);
  if (kind == "connector") return run_connector(request);
  if (kind == "voice_activity") return run_voice_activity(request);
  if (kind == "process") return run_process(request);
  if (kind == "loss") return run_loss(request);
  if (kind == "objective") return run_objective(request);
  if (kind == "optimizer") return run_optimizer(request);
  if (kind == "scaled") return run_scaled(request);
  if (kind == "tiles") return run_tiles(request);
  if (kind == "part_counts") return run_part_counts(request);
  if (kind == "tile_grids") return run_tile_grids(request);
  if (kind == "native_sizes") return run_native_sizes(request);
  if (kind == "frames") return run_frames(request);
  if (kind == "video") return run_video(request);
  if (kind == "edge_sizes") return run_edge_sizes(request);
  if (kind == "positions") return run_positions(request);
  if (kind == "model") return run_model(request);
  if (kind == "parameters") return run_parameters(request);
  if (kind == "score") return run_score(request);
  if (kind == "pairs") return run_pairs(request);
  if (kind == "cached") return run_cached(request);
  if (kind == "in_pieces") return run_in_pieces(request);
  if (kind == "read_again") return run_read_again(request);
  if (kind == "generate") return run_generate(request);
  if (kind == "shares") return run_shares(request);
  if (kind == "generation_config") return run_generation_config(request);
  fail(ErrorKind::config, "unknown kind '" + kind + "'");
}

}  // namespace
}  // namespace antiphon::probe

int main() {
  using namespace antiphon;
  log::set_level(log::Level::warning);
  kernels::set_smallest_fast_mm(1);  // the small models take the way that large ones take
  std::string line;
  while (std::getline(std::cin, line)) {
    nlohmann::json result;
    try {
      result = probe::answer(line);
    } catch (const std::exception& error) {
      result = {{"error", error.what()}};
    }
    std::cout << result.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) << std::endl;
  }
}
