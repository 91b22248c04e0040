#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <thread>

#include <antiphon/component/encoder.h>

#include "media.h"
#include "network.h"

namespace antiphon::apps::conformance {
namespace {

using Parts = std::vector<at::Tensor>;
using Shapes = std::map<std::vector<int64_t>, at::Tensor>;  // one part of each shape
constexpr double tolerance = 1e-4;

struct Processed {
  std::vector<Parts> items;
  Shapes shapes;
};

// On a module without values: process() must not read a parameter.
Processed process_all(const Encoder& encoder, const std::vector<NamedMedia>& media) {
  Processed out;
  for (const auto& [name, item] : media) {
    Parts parts = encoder.process(item);
    expect(!parts.empty(), "expected at least one part of the {}, got none", name);
    for (const auto& part : parts) {
      expect(part.device().is_cpu() && part.scalar_type() == at::kFloat,
             "expected float32 parts on the CPU of the {}, got {} on {}", name, at::toString(part.scalar_type()),
             part.device().str());
      expect_finite(part, "the parts of the " + name);
      out.shapes.emplace(part.sizes().vec(), part);
    }
    out.items.push_back(std::move(parts));
  }
  out.shapes.emplace(encoder.example_shape(), made(encoder.example_shape(), 5));
  return out;
}

void same_from_threads(const Encoder& encoder, const std::vector<NamedMedia>& media, const std::vector<Parts>& wanted) {
  std::vector<std::vector<Parts>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results)
    threads.emplace_back([&] {
      try {
        for (const auto& named : media) result.push_back(encoder.process(named.item));
      } catch (...) {
        result.clear();  // an exception must not leave the thread; the sizes tell
      }
    });
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) {
    expect(result.size() == wanted.size(), "expected {} items out of each of 4 threads, one of them failed",
           wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) {
      expect(result[i].size() == wanted[i].size(), "expected {} parts of the {} in every thread, got {}",
             wanted[i].size(), media[i].name, result[i].size());
      for (size_t j = 0; j < wanted[i].size(); ++j)
        expect(at::equal(result[i][j], wanted[i][j]), "expected the same parts of the {} in 4 threads at once",
               media[i].name);
    }
  }
}

void refuses_wrong_media(const Encoder& encoder) {
  const bool image = encoder.modality() == Modality::image;
  const auto refused = [&](const char* what, const MediaItem& item) {
    try {
      expect_error(ErrorKind::data, {}, [&] { encoder.process(item); });
    } catch (const Unmet& unmet) {
      throw Unmet{fmt::format("{}: {}", what, unmet.text)};
    }
  };
  refused(image ? "a sound" : "an image", image ? made_sound(0.1, 16000) : made_image(8, 8, false));
  refused("an empty item", image ? made_image(0, 0, false) : made_sound(0, encoder.sample_rate()));
  if (!image) refused("a wrong sample rate", made_sound(0.1, encoder.sample_rate() + 1));
  expect_error(ErrorKind::data, {}, [&] { encoder.output_grid({}); });
}

// What a session computes while a sound arrives is what the whole sound gives.
void chunks_hold(const Encoder& encoder, const std::vector<NamedMedia>& media) {
  const auto [samples, context] = encoder.chunking();
  expect(context % samples == 0, "expected a context of whole chunks of {} samples, got {}", samples, context);
  for (const auto& [name, item] : media) {
    const auto total = static_cast<int64_t>(item.audio.samples.size());
    const auto parts = encoder.process(item);
    expect(static_cast<int64_t>(parts.size()) == (total + samples - 1) / samples, "expected {} parts of the {}, got {}",
           (total + samples - 1) / samples, name, parts.size());
    for (size_t k = 0; k < parts.size(); ++k) {
      const auto begin = static_cast<int64_t>(k) * samples;
      auto own = item;
      own.audio.samples.assign(item.audio.samples.begin() + std::max<int64_t>(0, begin - context),
                               item.audio.samples.begin() + std::min(begin + samples, total));
      expect(at::equal(encoder.process(own).back(), parts[k]),
             "expected part {} of the {} to be that of its own samples and their context", k, name);
    }
  }
}

// Frames that it chooses go through it, in order and each once.
void videos_hold(const Encoder& encoder) {
  for (const int64_t count : {1, 3, 47}) {
    const VideoShape video{count, 12.5, 90, 61};
    const auto choice = encoder.video()->choose(video, {});
    const auto numbers = fmt::format("{}", fmt::join(choice.numbers, ", "));
    expect(!choice.numbers.empty() && std::ranges::is_sorted(choice.numbers) && choice.numbers.front() >= 0 &&
               choice.numbers.back() < count,
           "expected frames of a video of {} by their numbers, rising, got [{}]", count, numbers);
    Frames frames{{}, choice.numbers, count, video.per_second};
    for (size_t i = 0; i < choice.numbers.size(); ++i)
      frames.images.push_back(made_image(choice.height, choice.width, i % 2 == 1).image);
    std::vector<int64_t> seen;
    for (const auto& piece : encoder.video()->pieces(frames)) {
      if (piece.frames.images.empty()) continue;  // text alone
      seen.insert(seen.end(), piece.frames.numbers.begin(), piece.frames.numbers.end());
      MediaItem item{Modality::video, {}, {}};
      item.video = piece.frames;
      const auto parts = encoder.process(item);
      expect(!parts.empty() && encoder.video()->part_step(piece.frames).step > 0,
             "expected parts of a piece of a video, some way from each other");
      for (const auto& part : parts) encoder.output_grid(part.sizes());
    }
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());  // the last frame may stand for more
    expect(seen == choice.numbers, "expected pieces of the frames [{}], got [{}]", numbers,
           fmt::format("{}", fmt::join(seen, ", ")));
  }
}

at::Tensor batch_of(const std::vector<at::Tensor>& parts) { return at::stack(parts); }

void counts_hold(Encoder& encoder, const Shapes& shapes) {
  c10::AutoGradMode no_grad(false);
  for (const auto& [shape, part] : shapes)
    for (const size_t n : {1, 2}) {
      const auto grid = encoder.output_grid(shape);
      const auto y = encoder.forward(batch_of(std::vector(n, part)));
      expect_shape(y, {static_cast<int64_t>(n), grid.count(), encoder.output_size()},
                   fmt::format("an output as output_grid() and output_size() say for {} part(s) [{}],", n,
                               fmt::join(shape, ", ")));
      expect_finite(y, "the vectors");
    }
}

void batch_is_one_by_one(Encoder& encoder, const Shapes& shapes) {
  c10::AutoGradMode no_grad(false);
  for (const auto& [shape, part] : shapes) {
    const auto other = part + made(shape, 9) * 0.1;
    const auto together = encoder.forward(batch_of({part, other}));
    const auto apart = at::cat({encoder.forward(batch_of({part})), encoder.forward(batch_of({other}))});
    expect_close(together, apart, tolerance,
                 fmt::format("a batch of two parts [{}] against one by one", fmt::join(shape, ", ")));
  }
}

// Of all shapes at once.
void packed_is_one_by_one(Encoder& encoder, const Shapes& shapes) {
  c10::AutoGradMode no_grad(false);
  std::vector<at::Tensor> parts, apart;
  for (const auto& [shape, part] : shapes) {
    parts.insert(parts.end(), {part, part + made(shape, 9) * 0.1});
    for (size_t i = parts.size() - 2; i < parts.size(); ++i) apart.push_back(encoder.forward(batch_of({parts[i]}))[0]);
  }
  expect_close(encoder.forward_packed(parts), at::cat(apart), tolerance,
               fmt::format("{} parts of {} shapes packed against one by one", parts.size(), shapes.size()));
}

// Of the largest part, so that as many paths as can be are taken.
Network network(const Subject& subject, const Shapes& shapes) {
  std::shared_ptr<Encoder> encoder = build<Encoder>(subject);
  at::Tensor largest;
  for (const auto& [shape, part] : shapes)
    if (!largest.defined() || part.numel() > largest.numel()) largest = part;
  const auto parts = batch_of({largest, largest + made(largest.sizes(), 13) * 0.1});
  Encoder* used = encoder.get();
  return {encoder, &encoder->module(), [used, parts](at::ScalarType type) { return used->forward(parts.to(type)); }};
}

// The frames of a sound's first part are as many as its samples say, but for what a window or a step rounds up.
void spectrogram_is_so(const Encoder& encoder) {
  const auto [mels, frames, samples] = *encoder.spectrogram();
  expect(encoder.modality() == Modality::audio, "expected a spectrogram of sounds alone");
  const auto axes = static_cast<int64_t>(encoder.example_shape().size());
  expect(mels >= 0 && mels < axes && frames >= 0 && frames < axes && mels != frames && samples > 0,
         "expected two axes of {} and some samples a frame, got {}, {} and {}", axes, mels, frames, samples);
  const auto part = [&](int64_t seconds) {
    Audio audio{encoder.sample_rate(), std::vector<float>(static_cast<size_t>(seconds * encoder.sample_rate()), 0.01F)};
    for (size_t i = 0; i < audio.samples.size(); i += 7) audio.samples[i] = -0.02F;
    return encoder.process({Modality::audio, {}, audio}).front();
  };
  const auto one = part(1), two = part(2);
  expect(one.size(mels) == two.size(mels), "expected as many mel bands of each sound, got {} and {}", one.size(mels),
         two.size(mels));
  if (encoder.chunking().samples > 0) return;  // whose parts are shorter
  const int64_t expected = encoder.sample_rate() / samples;
  expect(one.size(frames) >= expected, "expected {} frames of a second at least, got {}", expected, one.size(frames));
}

void check_encoder(Report& report, const Subject& subject) {
  if (!check_options(report, subject, resolver<Encoder>(subject))) return;
  const auto encoder = build<Encoder>(subject);
  if (!check_size(report, subject, encoder->module())) return;
  const auto media = made_media(encoder->modality(), encoder->sample_rate());
  Processed processed;
  if (!report.check("process: odd sizes give finite parts", [&] { processed = process_all(*encoder, media); })) return;
  report.check("process: 4 threads at once give the same",
               [&] { same_from_threads(*encoder, media, processed.items); });
  if (encoder->chunking().samples > 0)
    report.check("process: each chunk is made of its own samples and their context",
                 [&] { chunks_hold(*encoder, media); });
  if (encoder->spectrogram())
    report.check("spectrogram: mel bands and frames are where it says", [&] { spectrogram_is_so(*encoder); });
  if (encoder->video())
    report.check("video: frames that are chosen go through process(), each once", [&] { videos_hold(*encoder); });
  report.check("process: other media, empty ones and wrong shapes are refused as bad data",
               [&] { refuses_wrong_media(*encoder); });
  start(encoder->module(), 1);
  if (!report.check("counting contract: forward() gives what output_grid() says, batch 1 and 2",
                    [&] { counts_hold(*encoder, processed.shapes); }))
    return;
  report.check("forward: a batch of two is two of one", [&] { batch_is_one_by_one(*encoder, processed.shapes); });
  if (encoder->is_packed())
    report.check("forward: parts of all shapes packed are one by one",
                 [&] { packed_is_one_by_one(*encoder, processed.shapes); });
  const MakeNetwork make = [&] { return network(subject, processed.shapes); };
  check_network(report, make);
  check_name_map(report, make, encoder->name_map());
}

const KindChecks registered{KindOf<Encoder>::name, check_encoder};

}  // namespace
}  // namespace antiphon::apps::conformance
