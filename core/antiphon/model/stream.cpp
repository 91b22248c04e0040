#include <antiphon/model/stream.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <antiphon/component/register.h>
#include <antiphon/model/slot.h>

#include <algorithm>
#include <map>

namespace antiphon::model {
namespace {

config::Value write_slots(const std::vector<Stream::EncoderSlot>& slots) {
  config::Value::Array list;
  for (const auto& slot : slots) {
    list.push_back(frozen_slot().dump(&slot.spec));
    if (slot.spec.peft.empty()) list.back().get_if<config::Value::Table>()->erase("peft");  // settings() as ever
  }
  return list.size() == 1 ? list.front() : config::Value(std::move(list));
}

// The CPU's matrix products are compiled for each shape: few shapes, few compilations.
at::Tensor padded_rows(const at::Tensor& rows) {
  constexpr int64_t kMultiple = 32;
  const int64_t missing = (kMultiple - rows.size(0) % kMultiple) % kMultiple;
  return missing ? at::constant_pad_nd(rows, {0, 0, 0, missing}) : rows;
}

TokenGrid grid_of(const at::Tensor& features) { return {features.size(0), features.size(1)}; }

void check_parts_apart(const StreamItem& item, const char* option) {
  if (!item.ids.empty() || item.part_tokens.size() != item.grids.size())
    fail(
        ErrorKind::config,
        fmt::format("the parts of an item are not one after the other, so that {} has no place", option),
        "leave part_end, part_break, row_break or the texts of tiles out, or take a connector that leaves parts apart");
}

}  // namespace

int64_t StreamItem::embeddings() const { return ids.empty() ? tokens : std::ranges::count(ids, -1); }

int64_t StreamItem::own_tokens() const { return tokens - std::ranges::count(ids, kOfOther); }

void StreamItem::break_rows(int64_t id) {
  std::vector<int64_t> broken;
  for (const auto& grid : grids)
    for (int64_t row = 0; row < grid.rows; ++row) {
      if (!broken.empty()) broken.push_back(id);
      broken.insert(broken.end(), static_cast<size_t>(grid.columns), -1);
    }
  if (std::ranges::count(broken, -1) != tokens)
    fail(ErrorKind::config,
         fmt::format("an item has {} embeddings and {} in rows, so that row_break has no place", tokens,
                     std::ranges::count(broken, -1)),
         "leave row_break out, or take a connector that leaves the embeddings in their rows");
  ids = std::move(broken), tokens = std::ssize(ids), part_tokens = {tokens};
}

void StreamItem::end_parts(const std::vector<int32_t>& end, const std::vector<int32_t>& between) {
  check_parts_apart(*this, "part_end");
  for (size_t i = 0; i < part_tokens.size(); ++i) {
    ids.insert(ids.end(), static_cast<size_t>(part_tokens[i]), -1);
    ids.insert(ids.end(), end.begin(), end.end());
    if (i + 1 < part_tokens.size()) ids.insert(ids.end(), between.begin(), between.end());
  }
  tokens = std::ssize(ids), part_tokens = {tokens};
}

void StreamItem::begin_parts(const std::vector<std::vector<int32_t>>& before) {
  check_parts_apart(*this, "tile_begin");
  if (before.size() != grids.size())
    fail(ErrorKind::internal, fmt::format("texts before {} of {} parts", before.size(), grids.size()));
  if (tiling.rows > 0) {
    whole_last = part_tokens.front();
    std::ranges::rotate(part_tokens, part_tokens.begin() + 1);
    std::ranges::rotate(grids, grids.begin() + 1);
  }
  for (size_t i = 0; i < part_tokens.size(); ++i) {
    ids.insert(ids.end(), before[i].begin(), before[i].end());
    ids.insert(ids.end(), static_cast<size_t>(part_tokens[i]), -1);
  }
  tokens = std::ssize(ids), part_tokens = {tokens};
}

std::unique_ptr<Stream> Stream::build(const std::string& name, StreamSpec& spec, int64_t hidden_size,
                                      config::Problems& problems) {
  const std::string section = "model.streams." + name;
  auto stream = std::make_unique<Stream>();
  stream->name_ = name, stream->hidden_size_ = hidden_size;
  stream->placeholder_ = spec.placeholder, stream->video_placeholder_ = spec.video_placeholder;
  stream->begin_ = spec.begin, stream->end_ = spec.end, stream->row_break_ = spec.row_break;
  stream->part_end_ = spec.part_end, stream->part_break_ = spec.part_break;
  stream->sound_begin_ = spec.sound_begin, stream->sound_end_ = spec.sound_end;
  stream->tile_texts_ = {spec.tile_begin, spec.tile_row_end, spec.tiles_end, spec.whole_begin};
  int64_t width = 0;
  bool whole = hidden_size > 0;
  auto slots = read_encoders(spec.encoder, section + ".encoder", problems);
  for (size_t i = 0; i < slots.size(); ++i) {
    auto& slot = slots[i];
    const auto index = slots.size() > 1 ? fmt::format(".{}", i) : "";
    auto encoder = slot.plugin.empty() ? nullptr
                                       : build_slot<Encoder>(slot.plugin, {slot.weights, slot.part}, slot.options,
                                                             section + ".encoder" + index, problems);
    whole &= encoder != nullptr;
    if (!encoder) continue;
    if (!stream->encoders_.empty() && encoder->modality() != stream->modality())
      problems.add(spec.encoder.where, fmt::format("[{}] joins encoders of different modalities", section),
                   "put them into streams of their own");
    encoder->module().set_requires_grad(slot.trainable);
    width += encoder->output_size();
    stream->encoders_.push_back({std::move(slot), std::move(encoder)});
  }
  auto& connector = spec.connector;
  if (connector.plugin.empty()) return nullptr;
  if (!whole || stream->encoders_.empty()) {
    check_keys("connector", connector.plugin, connector.options, section + ".connector", problems);
    return nullptr;
  }
  stream->connector_ = build_slot<Connector>(connector.plugin, {}, connector.options, section + ".connector", problems,
                                             ConnectorShape{width, hidden_size});
  if (!stream->connector_) return nullptr;
  stream->connector_->module().set_requires_grad(connector.trainable);
  stream->write_encoders(spec);
  return stream;
}

void Stream::write_encoders(StreamSpec& spec) {
  spec.encoder = write_slots(encoders_);
  settings_ = config::to_json(spec.encoder, 0);
}

std::string Stream::encoder_path(size_t index) const {
  const auto path = fmt::format("streams.{}.encoder", name_);
  return encoders_.size() > 1 ? fmt::format("{}.{}", path, index) : path;
}

bool Stream::encoders_frozen() const {
  for (const auto& slot : encoders_)
    if (slot.spec.trained()) return false;
  return true;
}

Chunking Stream::chunking() const {
  const auto first = encoders_.front().encoder->chunking();
  for (const auto& slot : encoders_)
    if (const auto own = slot.encoder->chunking(); own.samples != first.samples || own.context != first.context)
      return {};
  return first;
}

void Stream::count_tokens(StreamItem& item, std::vector<TokenGrid> grids) const {
  int64_t sum = 0;
  for (auto& grid : grids) {
    grid = connector_->output_grid(grid);
    item.part_tokens.push_back(grid.count());
    sum += grid.count();
  }
  item.tokens = connector_->item_tokens(grids, item.tiling);
  if (sum != item.tokens) item.part_tokens = {item.tokens};
  if (modality() == Modality::audio) item.part_step = 0;  // it goes on like text
  item.grids = std::move(grids);
}

StreamItem Stream::process(const MediaItem& media) const {
  StreamItem item;
  std::vector<TokenGrid> grids;
  for (const auto& slot : encoders_) {
    item.inputs.push_back(slot.encoder->process(media));
    if (item.inputs.back().empty())
      fail(ErrorKind::plugin, fmt::format("encoder {} gave no part for a media item", slot.spec.plugin),
           "its process() must give at least one part, or throw; run `antiphon conformance` on the plugin");
    std::vector<TokenGrid> own;
    for (const auto& part : item.inputs.back()) own.push_back(slot.encoder->output_grid(part.sizes()));
    if (item.inputs.size() > 1 && own != grids)
      fail(ErrorKind::data,
           fmt::format("stream {}: the encoders {} and {} give different grids for this item, so their features cannot "
                       "be joined",
                       name_, encoders_[0].spec.plugin, slot.spec.plugin),
           "choose input sizes that give equal grids");
    grids = std::move(own);
  }
  item.tiling = encoders_.front().encoder->tiling(media);
  if (media.modality == Modality::video && video()) item.part_step = video()->part_step(media.video);
  count_tokens(item, grids);
  return item;
}

StreamItem Stream::from_features(std::vector<at::Tensor> features, const Tiling& tiling) const {
  StreamItem item;
  std::vector<TokenGrid> grids;
  for (const auto& part : features) grids.push_back(grid_of(part));
  item.tiling = tiling;
  count_tokens(item, grids);
  item.features = std::move(features);
  return item;
}

int64_t Stream::example_tokens() const {
  const auto& encoder = *encoders_.front().encoder;
  StreamItem item;
  count_tokens(item, {encoder.output_grid(encoder.example_shape())});
  return item.tokens;
}

// Those of one shape in each, or of any if all encoders take them packed: up to about 2,000 vectors, or one part.
std::vector<Stream::Parts> Stream::batches_of(const Parts& parts) const {
  constexpr int64_t kVectors = 2048;
  const bool packed = std::ranges::all_of(encoders_, [](const auto& slot) { return slot.encoder->is_packed(); });
  std::map<std::vector<std::vector<int64_t>>, Parts> groups;  // by the shapes that each encoder takes
  for (const auto& part : parts) {
    std::vector<std::vector<int64_t>> shapes;
    for (const auto& of_encoder : part.item->inputs) shapes.push_back(of_encoder[part.index].sizes().vec());
    groups[packed ? decltype(shapes)() : shapes].push_back(part);
  }
  std::vector<Parts> batches;
  for (const auto& [shapes, group] : groups) {
    int64_t vectors = 0;
    for (const auto& part : group) {
      const int64_t own = part_grid(part).count();
      if (vectors == 0 || vectors + own > kVectors || modality() != Modality::image)
        batches.emplace_back(), vectors = 0;
      batches.back().push_back(part), vectors += std::max<int64_t>(1, own);
    }
  }
  return batches;
}

TokenGrid Stream::part_grid(const Part& part) const {
  return encoders_.front().encoder->output_grid(part.item->inputs.front()[part.index].sizes());
}

// [sum of the parts' vectors, output_size()] of one of the encoders.
at::Tensor Stream::vectors_of(const Parts& parts, size_t index, at::ScalarType dtype, at::Device device) {
  auto& [spec, encoder] = encoders_[index];
  std::vector<at::Tensor> inputs;
  for (const auto& part : parts) inputs.push_back(part.item->inputs[index][part.index]);
  const int64_t count = static_cast<int64_t>(parts.size()), width = encoder->output_size();
  const auto checked = [&](const at::Tensor& y, const std::vector<int64_t>& shape, const std::string& announced) {
    if (y.sizes() != at::IntArrayRef(shape))
      fail(ErrorKind::plugin,
           fmt::format("encoder {} announced {} parts and gave a tensor of shape {}", spec.plugin, announced,
                       fmt::join(y.sizes(), "x")),
           "its output_grid() and forward() must agree; run `antiphon conformance` on the plugin");
    return y;
  };
  if (encoder->is_packed()) {
    int64_t sum = 0;
    for (auto& input : inputs) sum += encoder->output_grid(input.sizes()).count(), input = input.to(device, dtype);
    return checked(encoder->forward_packed(inputs), {sum, width},
                   fmt::format("{} vectors of {} for {}", sum, width, count));
  }
  const auto vectors = encoder->output_grid(inputs.front().sizes()).count();
  return checked(encoder->forward(at::stack(inputs).to(device, dtype)), {count, vectors, width},
                 fmt::format("{} vectors of {} for each of {}", vectors, width, count))
      .flatten(0, 1);
}

// Of each part [rows, columns, feature_size].
std::vector<at::Tensor> Stream::encode_parts(const Parts& parts, at::ScalarType dtype, at::Device device) {
  std::vector<at::Tensor> joined, features;
  for (size_t i = 0; i < encoders_.size(); ++i) joined.push_back(vectors_of(parts, i, dtype, device));
  const auto all = joined.size() == 1 ? joined[0] : at::cat(joined, -1);
  int64_t begin = 0;
  for (const auto& part : parts) {
    const auto grid = part_grid(part);
    features.push_back(all.narrow(0, begin, grid.count()).view({grid.rows, grid.columns, -1}));
    begin += grid.count();
  }
  return features;
}

void Stream::encode(const std::vector<StreamItem*>& items, at::ScalarType dtype, at::Device device) {
  c10::AutoGradMode grad(at::GradMode::is_enabled() && !encoders_frozen());
  Parts parts;
  std::map<StreamItem*, std::vector<at::Tensor>> features;
  for (auto* item : items) {
    if (!item->features.empty()) continue;
    features[item].resize(item->inputs.front().size());
    for (size_t part = 0; part < item->inputs.front().size(); ++part) parts.push_back({item, part});
  }
  for (const auto& some : batches_of(parts)) {
    const auto y = encode_parts(some, dtype, device);
    for (size_t i = 0; i < some.size(); ++i) features[some[i].item][some[i].index] = y[i];
  }
  for (auto& [item, own] : features) item->features = std::move(own);
}

std::vector<at::Tensor> Stream::empty_features(const StreamItem& item, at::ScalarType dtype, at::Device device) const {
  int64_t width = 0;
  for (const auto& slot : encoders_) width += slot.encoder->output_size();
  std::vector<at::Tensor> parts;
  for (const auto& input : item.inputs.front()) {
    const auto grid = encoders_.front().encoder->output_grid(input.sizes());
    parts.push_back(at::empty({grid.rows, grid.columns, width}, at::TensorOptions(device).dtype(dtype)));
  }
  return parts;
}

std::vector<at::Tensor> Stream::arranged(const std::vector<at::Tensor>& parts) {
  std::vector<at::Tensor> flat;
  std::vector<TokenGrid> grids;
  for (const auto& part : parts) {
    grids.push_back(grid_of(part));
    flat.push_back(part.reshape({grids.back().count(), -1}));
  }
  auto rows = connector_->arrange_all(flat, grids);
  rows.resize(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto y = rows[i].defined() ? rows[i] : at::empty({0});
    const int64_t count = connector_->output_grid(grids[i]).count();
    check_connector(y.dim() == 2 && y.size(0) == count, y,
                    fmt::format("{} embeddings for a grid of {} x {}", count, grids[i].rows, grids[i].columns));
  }
  return rows;
}

std::vector<at::Tensor> Stream::embed_parts(const std::vector<const StreamItem*>& items) {
  std::vector<at::Tensor> parts;
  for (const auto* item : items) parts.insert(parts.end(), item->features.begin(), item->features.end());
  auto rows = arranged(parts);
  const auto padded = padded_rows(at::cat(rows));
  const auto y = connector_->project(padded);
  const int64_t width = hidden_size_ * (1 + taps());
  check_connector(y.dim() == 2 && y.size(0) == padded.size(0) && y.size(1) == width, y,
                  fmt::format("{} rows of {}", padded.size(0), width));
  int64_t begin = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto grid = connector_->output_grid(grid_of(parts[i]));
    rows[i] = y.narrow(0, begin, grid.count()).view({grid.rows, grid.columns, -1});
    begin += grid.count();
  }
  return rows;
}

at::Tensor Stream::connect(const std::vector<const StreamItem*>& items) {
  const auto parts = embed_parts(items);
  std::vector<at::Tensor> rows;
  auto part = parts.begin();
  for (const auto* item : items) {
    const auto end = part + static_cast<int64_t>(item->features.size());
    rows.push_back(connector_->assemble({part, end}, item->tiling));
    check_connector(rows.back().dim() == 2 && rows.back().size(0) == item->embeddings(), rows.back(),
                    fmt::format("{} embeddings for an item of {} parts", item->embeddings(), item->features.size()));
    if (item->whole_last > 0) rows.back() = rows.back().roll({-item->whole_last}, {0});
    part = end;
  }
  return at::cat(rows);
}

// Part by part, since one that gives too much and one that gives too little would make a sum that fits.
void Stream::check_connector(bool good, const at::Tensor& got, const std::string& expected) const {
  if (good) return;
  fail(ErrorKind::plugin,
       fmt::format("stream {}: the connector announced {} and gave a tensor of shape {}", name_, expected,
                   fmt::join(got.sizes(), "x")),
       "its output_grid(), item_tokens(), arrange(), project() and assemble() must agree; run `antiphon conformance` "
       "on the plugin");
}

}  // namespace antiphon::model
