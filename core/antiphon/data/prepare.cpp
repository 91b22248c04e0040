#include <antiphon/data/prepare.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/mixed.h>
#include <antiphon/base/sample_time.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/trace.h>
#include <antiphon/data/media_layout.h>
#include <antiphon/data/piece.h>
#include <antiphon/media/decode.h>

#include <algorithm>
#include <set>

namespace antiphon::data {
namespace {

// Everything up to the last assistant turn, which is what the model is to write.
std::vector<SampleTurn> without_answer(const Sample& sample) {
  auto turns = sample.turns;
  while (!turns.empty() && turns.back().role != "user" && turns.back().role != "tool") turns.pop_back();
  if (turns.empty())
    fail(ErrorKind::data, "the sample has no user turn to answer",
         "measure documents by their loss alone: eval.generate = false");
  return turns;
}

std::vector<text::Turn> to_prompt_turns(const std::vector<SampleTurn>& turns, const std::vector<MediaRef>& media,
                                        const model::MultimodalLm& model) {
  std::vector<text::Turn> out;
  for (const auto& turn : turns) {
    out.push_back({turn.role, {}, turn.reasoning, turn.trained, turn.tool_calls, turn.more, turn.given});
    for (const auto& part : turn.parts) {
      auto& piece = out.back().parts.emplace_back(text::Part{part.text, static_cast<int32_t>(part.media)});
      if (part.media < 0) continue;
      const auto& ref = media.at(static_cast<size_t>(part.media));
      const auto& stream = model.stream_for(ref.modality, ref.stream);
      piece.type = to_string(ref.modality), piece.placeholder = stream.placeholder(ref.modality);
      piece.begin = stream.begin(), piece.end = stream.end();
    }
  }
  return out;
}

// The label of the answer that without_answer() leaves out, after so many turns.
std::string label_after(const Sample& sample, size_t turns) {
  return turns < sample.turns.size() ? sample.turns[turns].label : "";
}

// NeMo's word for records whose labels are told before answers.
void check_type(const Sample& sample) {
  const auto type = sample.tags.find("type");
  if (type == sample.tags.end() || type->second != "VALUE_TO_TEXT") return;
  for (const auto& turn : sample.turns)
    if (!turn.label.empty())
      fail(ErrorKind::data,
           fmt::format("'type' is \"VALUE_TO_TEXT\", and nothing tells the label '{}' of an answer",
                       shown(turn.label, 80)),
           "name its attributes in data.attributes.names, or take 'type' or the labels out");
}

// Of videos with their sound among their embeddings: the sound of each.
std::map<size_t, size_t> sounds_within(const Sample& sample) {
  std::map<size_t, size_t> sounds;
  for (const auto& turn : sample.turns)
    for (const auto& part : turn.parts)
      if (part.sound >= 0) sounds[static_cast<size_t>(part.media)] = static_cast<size_t>(part.sound);
  return sounds;
}

void append_media(model::BatchMedia media, Prepared& to) {
  media.position = media.within ? to.media.back().position : to.tokens();
  if (!media.within) to.ids.resize(to.ids.size() + static_cast<size_t>(media.item.tokens), 0);
  for (size_t i = 0; i < media.item.ids.size(); ++i)
    if (const auto id = media.item.ids[i]; id >= 0) to.ids[static_cast<size_t>(media.position) + i] = id;
  to.supervised.resize(to.ids.size(), false);
  to.media.push_back(std::move(media));
}

}  // namespace

int64_t Prepared::supervised_count() const { return std::count(supervised.begin(), supervised.end(), true); }

at::Tensor Prepared::positions() const {
  return positions_at.defined() ? positions_at : at::arange(tokens(), at::kLong).unsqueeze(0);
}

double Prepared::next_position() const { return ids.empty() ? 0 : positions().max().item<double>() + 1; }

void give_positions(Prepared& sample, const LanguageModel& llm) {
  SampleLayout layout{sample.tokens(), {}};
  for (const auto& media : sample.media)
    if (!media.is_prompt() && !media.within)
      layout.media.push_back(
          {media.position, media.item.tokens, media.item.grids, media.item.part_step, media.item.runs});
  sample.positions_at = llm.positions(layout);
}

// An item without a medium, whose embeddings the model has.
void begin_with_prompt(Prepared& sample, int64_t tokens) {
  if (tokens == 0) return;
  model::BatchMedia prompt;
  prompt.sample_id = sample.id;
  prompt.item.tokens = tokens, prompt.item.part_tokens = {tokens};
  for (auto& media : sample.media) media.position += tokens;
  sample.media.insert(sample.media.begin(), std::move(prompt));
  sample.ids.insert(sample.ids.begin(), static_cast<size_t>(tokens), 0);
  sample.supervised.insert(sample.supervised.begin(), static_cast<size_t>(tokens), false);
}

Preparer::Preparer(const model::MultimodalLm& model, const text::PromptBuilder& prompts, const FeatureCache& cache,
                   const media::MediaLimits& limits, int64_t max_tokens, const VideoSampling& video,
                   const media::ImageReading& image, const SoundReading& sound, const Augmenter* augmenter,
                   const Attributes* attributes)
    : model_(model),
      prompts_(prompts),
      cache_(cache),
      limits_(limits),
      max_tokens_(max_tokens),
      video_(video),
      image_(image),
      channel_(sound.chosen()),
      augmenter_(augmenter),
      attributes_(attributes) {}

MediaItem Preparer::decode(const MediaRef& ref, std::string_view bytes, int64_t sample_rate) const {
  const TraceScope scope("decode");
  MediaItem item{ref.modality, {}, {}};
  if (ref.modality == Modality::image)
    item.image = media::decode_image(bytes, limits_, image_);
  else
    item.audio = piece_of(
        media::decode_audio(bytes, sample_rate, ref.bytes.extension(), limits_, channel_of(ref, channel_)), ref);
  return item;
}

// Frames of one video are changed alike. What is changed is another item than the same content elsewhere.
void Preparer::change(const MediaItem& item, const MediaRef& ref, const model::Stream& stream, uint64_t seed,
                      model::BatchMedia& media) const {
  const TraceScope scope("augment");
  const auto name = ref.origin.empty() ? media.content : ref.origin.filename().string();
  seed = mixed(seed, std::stoull(content_hash(name).substr(0, 16), nullptr, 16));
  const auto changed = augmenter_->changed(item, seed, media.augmented);
  media.item = stream.process(changed);
  augmenter_->mask(media.item, stream, std::ssize(changed.audio.samples), seed, media.augmented);
  media.content = content_hash(fmt::format("{} changed by {}", media.content, seed));
}

model::BatchMedia Preparer::read(const MediaRef& ref, const std::string& sample_id, const OnDecoded& decoded,
                                 AugmentSeed seed) const {
  SampleTime::check();  // frames of videos are not read again
  const bool changes = seed && augmenter_ && augmenter_->any();
  const auto& stream = model_.stream_for(ref.modality, ref.stream);
  model::BatchMedia media;
  media.stream = stream.name(), media.sample_id = sample_id;
  const auto bytes = ref.item ? std::string() : ref.bytes.read(limits_.file_bytes);
  media.content = ref.item ? ref.content : content_of(bytes, ref, channel_of(ref, channel_));
  if (!changes) media.cache_key = cache_.key(stream.name(), media.content);
  if (auto features = cache_.load(media.cache_key)) {
    media.seconds = features->seconds;
    media.item = stream.from_features(std::move(features->parts), features->tiling);
    if (ref.modality == Modality::video) media.item.part_step = stream.video()->part_step(ref.item->video);
    return media;
  }
  const auto item = ref.item ? ref.item : std::make_shared<const MediaItem>(decode(ref, bytes, stream.sample_rate()));
  if (decoded) decoded(ref, *item);
  media.seconds = item->audio.seconds();
  if (changes)
    change(*item, ref, stream, *seed, media);
  else
    media.item = stream.process(*item);
  return media;
}

Sample Preparer::expanded(const Sample& sample, Expansions* known) const {
  return has_video(sample) ? expand_videos(sample, video_, channel_, model_, limits_, known) : sample;
}

std::set<std::string> Preparer::unread(const Sample& sample) const {
  bool labels = false;
  std::set<std::string> given;  // once each: the template's whole text is looked through
  const auto add_from = [&](const std::vector<SampleTurn>& turns) {
    for (const auto& turn : turns) {
      labels |= !turn.label.empty();
      const auto more = turn.more.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json::parse(turn.more);
      for (const auto& [key, value] : more.items())
        if (!(turn.role == "tool" && (key == "name" || key == "tool_call_id"))) given.insert(key);
    }
  };
  add_from(sample.turns);
  for (const auto& candidate : sample.candidates) add_from(candidate.turns);
  auto keys = sample.unread;
  if (labels && attributes().empty()) keys.insert("turns: label");
  for (const auto& key : given)
    if (!prompts_.reads(key)) keys.insert("turns: " + key);
  return keys;
}

Preparer::Media Preparer::reader(const Sample& sample, const OnDecoded& decoded, AugmentSeed seed) const {
  return [this, &sample, &decoded, seed](size_t index) {
    const auto& ref = sample.media.at(index);
    return with_context("reading " + shown(ref.bytes.name()), [&] { return read(ref, sample.id, decoded, seed); });
  };
}

Prepared Preparer::prepare(const Sample& sample, Purpose purpose, const OnDecoded& decoded, AugmentSeed seed) const {
  const SampleTime time;
  if (has_video(sample)) return prepare(expanded(sample), purpose, decoded, seed);
  return prepare_with(sample, purpose, reader(sample, decoded, seed));
}

Prepared Preparer::prepare_with(const Sample& sample, Purpose purpose, const Media& media) const {
  const SampleTime time;
  auto prepared = make(sample, purpose, media);
  check_length(prepared, purpose);
  return prepared;
}

void Preparer::check_length(const Prepared& sequence, Purpose purpose) const {
  if (sequence.tokens() <= max_tokens_) return;
  const bool learns = purpose == Purpose::training;
  fail(
      ErrorKind::data,
      fmt::format("the {} has {} tokens; at most {} fit", learns ? "sample" : "prompt", sequence.tokens(), max_tokens_),
      fmt::format("{}, or give fewer or smaller media, which are never cut: the model's context ends there",
                  learns ? "shorten the sample" : "say less"));
}

void Preparer::check_length(const PreparedGroup& group) const {
  for (const auto& sequence : group.sequences) check_length(sequence, Purpose::training);
}

// With the attributes of answers, and, for generation, the answer that is to be written: what is given of it.
std::vector<SampleTurn> Preparer::told(const Sample& sample, Purpose purpose) const {
  const bool training = purpose == Purpose::training;
  auto turns = training ? sample.turns : without_answer(sample);
  auto label = asked().empty() ? label_after(sample, turns.size()) : asked();
  if (!training) turns.push_back({"assistant", {}});
  if (!training) turns.back().label = std::move(label);
  if (!attributes_ || !attributes_->any()) {
    check_type(sample);
    return turns;
  }
  if (prompts_.is_captions())
    fail(ErrorKind::config, "data.attributes are told before answers, and the model compares texts with media",
         "leave data.attributes out");
  attributes_->tell(turns);
  return turns;
}

Prepared Preparer::make(const Sample& sample, Purpose purpose, const Media& media_at) const {
  const TraceScope scope("prepare");
  const bool training = purpose == Purpose::training;
  auto turns = to_prompt_turns(told(sample, purpose), sample.media, model_);
  const auto given = training ? "" : std::exchange(turns.back().given, {});
  if (!training) turns.pop_back();
  const auto now = std::chrono::system_clock::now();
  const auto prompt =
      training ? prompts_.training(turns, now, sample.tools) : prompts_.generation(turns, now, sample.tools, given);
  const auto sounds = sounds_within(sample);
  Prepared out;
  out.id = sample.id;
  begin_with_prompt(out, model_.prompt_tokens());
  for (size_t i = 0; i < prompt.ids.size(); ++i) {
    if (prompt.ids[i] >= 0) {
      out.ids.push_back(prompt.ids[i]);
      out.supervised.push_back(prompt.supervised[i]);
      continue;
    }
    const auto index = static_cast<size_t>(-1 - prompt.ids[i]);
    auto media = media_at(index);
    if (prompts_.is_captions() && media.item.embeddings() != 1)
      fail(ErrorKind::data,
           fmt::format("the stream {} gives {} vectors of the medium; one is compared with a text", media.stream,
                       media.item.embeddings()),
           "leave the record out, or let the encoder cut no tiles and take the length that it has one part for");
    lay_out(media, model_, prompts_.tokenizer());
    if (const auto sound = sounds.find(index); sound != sounds.end()) {
      auto heard = media_at(sound->second);
      lay_within(heard, media, model_, prompts_.tokenizer());
      append_media(std::move(media), out), append_media(std::move(heard), out);
    } else
      append_media(std::move(media), out);
  }
  if (training && out.supervised_count() == 0)
    fail(ErrorKind::data, "the sample has no supervised token", "give it an assistant turn with text");
  give_positions(out, model_.llm());
  return out;
}

int64_t PreparedGroup::tokens() const {
  int64_t tokens = 0;
  for (const auto& sequence : sequences) tokens += sequence.tokens();
  return record ? room.answers * (tokens + room.tokens) : tokens;
}

Measures PreparedGroup::measures() const {
  Measures sum;
  std::set<std::string> heard;
  for (const auto& sequence : sequences) {
    sum.tokens += sequence.tokens(), sum.supervised += sequence.supervised_count();
    for (const auto& media : sequence.media)
      if (media.seconds > 0 && (sequences.size() == 1 || heard.insert(media.content).second))
        sum.seconds += media.seconds, ++sum.sounds;
  }
  return sum;
}

// The conversation with this candidate as its end; earlier answers are what was said, not what is to be learnt.
Sample with_candidate(const Sample& sample, size_t index) {
  const auto& candidate = sample.candidates.at(index);
  Sample out = sample;
  out.candidates.clear();
  out.id = fmt::format("{}#{}", sample.id, index);
  for (auto& turn : out.turns) turn.trained = false;
  out.turns.insert(out.turns.end(), candidate.turns.begin(), candidate.turns.end());
  for (const auto& [place, other] : candidate.media) out.media.at(place) = sample.media.at(other);
  return out;
}

std::vector<Sample> sequences_of(const Sample& sample) {
  if (sample.candidates.empty()) return {sample};
  std::vector<Sample> sequences;
  for (size_t i = 0; i < sample.candidates.size(); ++i) sequences.push_back(with_candidate(sample, i));
  return sequences;
}

void check_answers(const Sample& sample, int64_t candidates) {
  const auto found = static_cast<int64_t>(sample.candidates.size());
  if (std::max<int64_t>(1, found) == candidates) return;
  fail(ErrorKind::data,
       fmt::format("the record has {}; the objective {}",
                   found == 0   ? "no candidates"
                   : found == 1 ? "1 candidate"
                                : fmt::format("{} candidates", found),
                   candidates == 1 ? "learns one answer" : fmt::format("compares {}", candidates)),
       "choose the objective that fits the data, see docs/data.md");
}

void check_fits(const PreparedGroup& group, int64_t tokens_per_batch) {
  if (group.tokens() <= tokens_per_batch) return;
  if (group.record)
    fail(ErrorKind::data,
         fmt::format("the prompt has {} tokens, and {} answers of up to {}: {} with a prompt each; a batch holds {}",
                     group.sequences.front().tokens(), group.room.answers, group.room.tokens, group.tokens(),
                     tokens_per_batch),
         "raise train.tokens_per_batch, or lower train.rollout.max_tokens or objective.answers");
  const auto count = group.sequences.size();
  fail(ErrorKind::data,
       fmt::format("the sample has {} tokens{}; a batch holds {}", group.tokens(),
                   count > 1 ? fmt::format(" in {} sequences", count) : "", tokens_per_batch),
       "raise train.tokens_per_batch");
}

PreparedGroup Preparer::prepare_group(const Sample& sample, AugmentSeed seed) const {
  auto group = prepare_any_length(sample, seed);
  check_length(group);
  return group;
}

PreparedGroup Preparer::prepare_prompt(const Sample& raw, const AnswerRoom& room, AugmentSeed seed) const {
  const SampleTime time;
  auto record = std::make_shared<const Sample>(expanded(raw));
  PreparedGroup group{{make(*record, Purpose::generation, reader(*record, {}, seed))}, record, room};
  if (const int64_t tokens = group.sequences.front().tokens(); tokens + room.tokens > max_tokens_)
    fail(
        ErrorKind::data,
        fmt::format("the prompt has {} tokens, and answers up to {}; at most {} fit", tokens, room.tokens, max_tokens_),
        "shorten the prompt, or lower train.rollout.max_tokens: the model's context ends there");
  return group;
}

Prepared answered(const Prepared& prompt, const std::vector<int64_t>& answer, const LanguageModel& llm) {
  auto sequence = prompt;
  sequence.ids.insert(sequence.ids.end(), answer.begin(), answer.end());
  sequence.supervised.resize(sequence.ids.size(), true);
  give_positions(sequence, llm);
  return sequence;
}

PreparedGroup longest_answers(const PreparedGroup& prompt, const LanguageModel& llm) {
  const std::vector<int64_t> answer(static_cast<size_t>(prompt.room.tokens), 0);
  return {
      std::vector<Prepared>(static_cast<size_t>(prompt.room.answers), answered(prompt.sequences.front(), answer, llm))};
}

PreparedGroup Preparer::prepare_any_length(const Sample& raw, AugmentSeed seed) const {
  const SampleTime time;
  if (raw.candidates.empty()) {
    const auto sample = expanded(raw);
    return {{make(sample, Purpose::training, reader(sample, {}, seed))}};
  }
  std::map<std::string, model::BatchMedia> seen;  // by modality, stream and content
  Expansions videos;
  PreparedGroup group;
  for (const auto& sequence : sequences_of(raw)) {
    const auto sample = expanded(sequence, &videos);
    group.sequences.push_back(make(sample, Purpose::training, [&](size_t index) {
      const auto& ref = sample.media.at(index);
      const auto key = fmt::format("{}\n{}\n{} {} {}\n{}", to_string(ref.modality), ref.stream, ref.begin, ref.seconds,
                                   ref.channel.value_or(-1), ref.item ? ref.content : ref.bytes.key());
      if (!seen.contains(key))
        seen[key] = with_context("reading " + shown(ref.bytes.name()), [&] { return read(ref, sample.id, {}, seed); });
      return seen.at(key);
    }));
    group.sequences.back().value = raw.candidates[group.sequences.size() - 1].value;
  }
  return group;
}

model::Batch pack(std::vector<Prepared> samples, int64_t multiple) {
  std::vector<PreparedGroup> groups;
  for (auto& sample : samples) groups.push_back({{std::move(sample)}});
  return pack(std::move(groups), multiple);
}

model::Batch pack(std::vector<PreparedGroup> groups, int64_t multiple) {
  model::Batch batch;
  std::vector<Prepared> samples;
  for (auto& group : groups) {
    batch.groups.push_back(static_cast<int64_t>(group.sequences.size()));
    std::ranges::move(group.sequences, std::back_inserter(samples));
  }
  std::vector<int64_t> ids, supervised, labels;
  std::vector<float> behaviour;
  std::vector<at::Tensor> positions;
  for (auto& sample : samples) {
    const auto offset = static_cast<int64_t>(ids.size()), before = static_cast<int64_t>(labels.size());
    ids.insert(ids.end(), sample.ids.begin(), sample.ids.end());
    positions.push_back(sample.positions());
    for (int64_t i = 1; i < sample.tokens(); ++i) {
      if (!sample.supervised[static_cast<size_t>(i)]) continue;
      supervised.push_back(offset + i - 1);
      labels.push_back(sample.ids[static_cast<size_t>(i)]);
    }
    for (auto& media : sample.media) {
      media.position += offset;
      batch.media.push_back(std::move(media));
    }
    batch.lengths.push_back(sample.tokens());
    batch.sequences.push_back({sample.id, static_cast<int64_t>(labels.size()) - before, sample.value, sample.weight});
    behaviour.insert(behaviour.end(), sample.behaviour.begin(), sample.behaviour.end());
  }
  const auto tokens = static_cast<int64_t>(ids.size()), axes = positions.empty() ? 1 : positions.front().size(0);
  batch.padding = tokens == 0 ? multiple : (multiple - tokens % multiple) % multiple;
  if (batch.padding > 0) {
    ids.resize(static_cast<size_t>(tokens + batch.padding), 0);
    const auto type = positions.empty() ? at::kLong : positions.front().scalar_type();
    positions.push_back(at::arange(batch.padding, type).expand({axes, batch.padding}));
    batch.lengths.push_back(batch.padding);
  }
  batch.ids_t = at::tensor(ids, at::kLong);
  batch.positions_at = positions.empty() ? at::empty({axes, 0}, at::kLong) : at::cat(positions, 1);
  batch.supervised_n = at::tensor(supervised, at::kLong);
  batch.labels_n = at::tensor(labels, at::kLong);
  if (behaviour.empty()) return batch;
  if (behaviour.size() != labels.size())
    fail(ErrorKind::internal,
         fmt::format("{} log-probabilities of {} written tokens", behaviour.size(), labels.size()));
  batch.behaviour_n = at::tensor(behaviour, at::kFloat);
  return batch;
}

}  // namespace antiphon::data
