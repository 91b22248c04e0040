#include <data/examine.h>

#include <fmt/format.h>

#include <antiphon/base/files.h>
#include <antiphon/base/sample_time.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/data/piece.h>
#include <antiphon/media/decode.h>

#include <cctype>
#include <memory>
#include <new>

namespace antiphon::apps {
namespace {

constexpr int64_t kSampleRate = 16000;  // of recordings that no encoder asks for

void replace_all(std::string& text, const std::string& what, const std::string& by) {
  for (size_t at = text.find(what); !what.empty() && at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
}

std::string without_numbers(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool digit = std::isdigit(static_cast<unsigned char>(c)) != 0;
    if (!digit || !out.ends_with('N')) out += digit ? 'N' : c;
  }
  return out;
}

// Reasons that differ only in a path or a number are of one kind.
std::string kind_of(std::string message, const Sample& sample) {
  for (const auto& media : sample.media) replace_all(message, shown(media.bytes.name()), "FILE");
  return without_numbers(message);
}

MediaFacts decoded(const MediaRef& ref, const std::string& bytes, const media::MediaLimits& limits) {
  MediaItem item{ref.modality, {}, {}};
  if (ref.modality == Modality::image) {
    item.image = media::decode_image(bytes, limits);
  } else if (ref.modality == Modality::audio) {
    item.audio =
        data::piece_of(media::decode_audio(bytes, kSampleRate, ref.bytes.extension(), limits, ref.channel), ref);
  } else {
    auto video = media::decode_video(bytes, {.frames = 1, .sample_rate = kSampleRate}, limits);
    item.image = std::move(video.frames.at(0).image);
    auto facts = facts_of(ref, item);
    facts.seconds = video.seconds;
    return facts;
  }
  return facts_of(ref, item);
}

void read_media(const Sample& sample, Examined& out) {
  const media::MediaLimits limits;
  for (const auto& ref : sample.media) {
    with_context("reading " + shown(ref.bytes.name()), [&] {
      const auto bytes = ref.bytes.read(limits.file_bytes);
      out.media.push_back(decoded(ref, bytes, limits));
      out.media.back().content = data::content_of(bytes, ref, ref.channel);
    });
  }
}

data::Prepared prepare(const data::Preparer& preparer, const Sample& sequence, data::Purpose purpose, Examined& out) {
  const size_t before = out.media.size();
  auto prepared = preparer.prepare(
      sequence, purpose, [&](const auto& ref, const auto& item) { out.media.push_back(facts_of(ref, item)); });
  out.tokens += prepared.tokens(), out.supervised += prepared.supervised_count();
  std::erase_if(prepared.media, [](const auto& media) { return media.is_prompt(); });
  for (size_t i = 0; i < prepared.media.size(); ++i) {
    auto& media = out.media[before + i];
    media.stream = prepared.media[i].stream;
    media.content = prepared.media[i].content;
    media.tokens = prepared.media[i].item.own_tokens();
  }
  return prepared;
}

// As training does it; or as evaluation, which knows the sample alone.
void look(const Examiner& examiner, const Sample& sample, Examined& out) {
  const SampleTime time;
  if (!examiner.preparer) return read_media(sample, out);
  const bool trains = examiner.tokens_per_batch > 0;
  if (trains) data::check_answers(sample, examiner.candidates);
  data::PreparedGroup group;
  if (examiner.written) group.record = std::make_shared<const Sample>(sample), group.room = *examiner.written;
  const auto purpose = group.record ? data::Purpose::generation : data::Purpose::training;
  for (const auto& sequence : trains ? data::sequences_of(sample) : std::vector{sample})
    group.sequences.push_back(prepare(*examiner.preparer, sequence, purpose, out));
  if (trains) out.left_out = data::left_out_by(examiner.filter, group.measures());
  if (out.left_out) return;
  if (trains) data::check_fits(group, examiner.tokens_per_batch);
  for (const auto& sequence : group.sequences)
    if (const auto tokens = sequence.tokens() + (group.record ? group.room.tokens : 0); tokens > examiner.max_tokens)
      fail(ErrorKind::data,
           fmt::format("the sample has {} tokens{}; at most {} fit", tokens, group.record ? " with its answer" : "",
                       examiner.max_tokens),
           "shorten the sample: it does not fit the model's context");
}

}  // namespace

MediaFacts facts_of(const MediaRef& ref, const MediaItem& item) {
  return {std::string(to_string(ref.modality)),
          "",
          ref.modality,
          0,
          item.image.width,
          item.image.height,
          item.audio.seconds()};
}

Examined Examiner::operator()(const data::RecordSet& records, int64_t index) const {
  Examined out;
  Sample sample;
  out.line = records.line(index);
  try {
    sample = records.sample(index, draw ? draw(index) : 0);
    out.id = sample.id, out.unread = preparer ? preparer->unread(sample) : sample.unread;
    look(*this, sample, out);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    out.reason = error.what(), out.kind = kind_of(error.message(), sample);
  } catch (const std::bad_alloc&) {
    out.reason = out.kind = "out of memory";
  } catch (const std::exception&) {
    out.reason = out.kind = "internal error: something failed that should not";
  }
  return out;
}

}  // namespace antiphon::apps
