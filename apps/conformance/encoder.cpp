#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/ranges.h>

#include <map>
#include <thread>

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
      expect(part.device().is_cpu() && part.scalar_type() == at::kFloat, "expected float32 parts on the CPU of the {}, got {} on {}", name, at::toString(part.scalar_type()), part.device().str());
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
    expect(result.size() == wanted.size(), "expected {} items out of each of 4 threads, one of them failed", wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) {
      expect(result[i].size() == wanted[i].size(), "expected {} parts of the {} in every thread, got {}", wanted[i].size(), media[i].name, result[i].size());
      for (size_t j = 0; j < wanted[i].size(); ++j) expect(at::equal(result[i][j], wanted[i][j]), "expected the same parts of the {} in 4 threads at once", media[i].name);
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

void counts_hold(Encoder& encoder, const Shapes& shapes) {
  for (const auto& [shape, part] : shapes)
    for (const int64_t n : {1, 2}) {
      const auto grid = encoder.output_grid(shape);
      const auto y = encoder.forward(part.unsqueeze(0).expand_as(at::empty({n})).contiguous());
      expect_shape(y, {n, grid.count(), encoder.output_size()}, fmt::format("vectors for {} part(s) [{}], as output_grid() and output_size() say,", n, fmt::join(shape, ", ")));
      expect_finite(y, "the vectors");
    }
}

}  // namespace

}  // namespace antiphon::apps::conformance
