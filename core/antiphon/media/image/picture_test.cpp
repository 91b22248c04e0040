// Resizing, cropping, tensors and spectrograms; tests/parity/media_parity.py compares them with Pillow and
// transformers.
#include <ATen/ATen.h>
#include <array>
#include <catch2/generators/catch_generators_all.hpp>
#include <cmath>
#include <limits>
#include <thread>

#include <antiphon/media/audio/log_mel.h>
#include <antiphon/media/image/pixels.h>
#include <antiphon/media/image/resize.h>
#include <antiphon/media/image/tiles.h>
#include <antiphon/media/media_test.h>
#include <antiphon/media/video/display_matrix.h>
#include <antiphon/media/video/video_plan.h>

using namespace antiphon;
using namespace antiphon::media;

namespace {

Image gradient(int64_t height, int64_t width) {
  Image image{height, width, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (const int64_t value : {x * 5, y * 7, x + y}) image.rgb.push_back(static_cast<uint8_t>(value));
  return image;
}

}  // namespace

TEST_CASE("every filter keeps a picture of one colour, and all of a picture at its own size") {
  const auto filter = static_cast<Filter>(GENERATE(0, 1, 2, 3, 4, 5));
  INFO(to_string(filter));
  const Image plain{9, 13, std::vector<uint8_t>(9 * 13 * 3, 201)};
  for (const Size size : {Size{3, 4}, Size{40, 2}, Size{2, 40}, Size{50, 60}, Size{1, 1}}) {
    const Image resized = resize(plain, size, filter);
    CHECK(resized.rgb == std::vector<uint8_t>(static_cast<size_t>(size.height * size.width * 3), 201));
  }
  const Image image = gradient(20, 30);
  CHECK(resize(image, {20, 30}, filter).rgb == image.rgb);
}

TEST_CASE("values of Pillow 13.0: the first row's red of a gradient, 7 x 5 to 4 x 3") {
  const auto reds = [](Filter filter) {
    const Image small = resize(gradient(5, 7), {3, 4}, filter);
    return std::vector<int>{small.rgb[0], small.rgb[3], small.rgb[6], small.rgb[9]};
  };
  CHECK(reds(Filter::nearest) == std::vector<int>{0, 10, 20, 30});
  CHECK(reds(Filter::box) == std::vector<int>{3, 13, 20, 28});
  CHECK(reds(Filter::bilinear) == std::vector<int>{3, 10, 20, 27});
  CHECK(reds(Filter::bicubic) == std::vector<int>{2, 10, 20, 28});
}

TEST_CASE("sizes that make no sense are refused") {
  CHECK(says(refusal([] { resize(Image{}, {3, 3}, Filter::box); }), "cannot resize"));
  CHECK(says(refusal([] { resize(gradient(3, 3), {0, 3}, Filter::nearest); }), "cannot resize"));
  CHECK(says(refusal([] { shortest_edge_size({0, 4}, 3); }), "shorter edge"));
  CHECK(says(refusal([] { center_crop(gradient(3, 3), {0, 1}); }), "crop"));
  CHECK_THROWS_AS(filter_from_number(6), Error);
}

TEST_CASE("the longer edge is truncated") {
  CHECK(shortest_edge_size({480, 640}, 224) == Size{224, 298});
  CHECK(shortest_edge_size({640, 480}, 224) == Size{298, 224});
  CHECK(shortest_edge_size({7, 7}, 224) == Size{224, 224});
}

TEST_CASE("the crop is the middle, and black is added around what is too small") {
  const Image image = gradient(4, 6);
  const Image middle = center_crop(image, {2, 3});
  CHECK(middle.rgb[0] == 5);  // column (6 - 3) / 2
  CHECK(middle.rgb[1] == 7);  // row (4 - 2) / 2
  const Image wide = center_crop(image, {4, 9});
  CHECK(wide.rgb[3 * 2] == 3 * 0);
  CHECK(wide.rgb[(9 + 2) * 3 + 1] == 7);  // two columns of black on the left, as Python's // rounds -3 / 2 down
  CHECK(wide.rgb[(9 + 1) * 3 + 1] == 0);
}

TEST_CASE("tensor of a picture") {
  const at::Tensor tensor = to_tensor(gradient(2, 3), {1.0 / 255, {0.5, 0.25, 0}, {0.5, 0.5, 1}});
  CHECK(tensor.sizes() == at::IntArrayRef{3, 2, 3});
  CHECK(std::abs(tensor[0][0][2].item<float>() - (10.0F / 255 - 0.5F) / 0.5F) < 1e-6);
  CHECK(std::abs(tensor[1][1][0].item<float>() - (7.0F / 255 - 0.25F) / 0.5F) < 1e-6);
  CHECK(std::abs(tensor[2][1][2].item<float>() - 3.0F / 255) < 1e-6);
}

TEST_CASE("orientations turn and mirror") {
  const Image image{1, 2, {1, 1, 1, 2, 2, 2}};  // 1 left of 2
  CHECK(oriented(image, 1).rgb[0] == 1);
  CHECK(oriented(image, 2).rgb[0] == 2);
  CHECK(oriented(image, 6).height == 2);
  CHECK(oriented(image, 6).rgb[0] == 1);  // clockwise: 1 above 2
  CHECK(oriented(image, 8).rgb[0] == 2);
}

TEST_CASE("the display matrix of a video is the orientation that shows it as it says") {
  const Image image{2, 3, {10, 0, 0, 20, 0, 0, 30, 0, 0, 40, 0, 0, 50, 0, 0, 60, 0, 0}};
  for (const auto& [a, b, c, d] : std::initializer_list<std::array<int32_t, 4>>{{1, 0, 0, 1},
                                                                                {-1, 0, 0, 1},
                                                                                {-1, 0, 0, -1},
                                                                                {1, 0, 0, -1},
                                                                                {0, 1, 1, 0},
                                                                                {0, 1, -1, 0},
                                                                                {0, -1, -1, 0},
                                                                                {0, -1, 1, 0}}) {
    INFO(a << b << c << d);
    const std::array<int32_t, 9> matrix{a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30};
    const Image shown = oriented(image, orientation_of_matrix(matrix));
    for (int64_t y = 0; y < 2; ++y)
      for (int64_t x = 0; x < 3; ++x) {
        const int64_t to_x = a * x + c * y, to_y = b * x + d * y;
        const int64_t column = a + c < 0 ? to_x + shown.width - 1 : to_x,
                      row = b + d < 0 ? to_y + shown.height - 1 : to_y;
        CHECK(shown.rgb[static_cast<size_t>(row * shown.width + column) * 3] ==
              image.rgb[static_cast<size_t>(y * 3 + x) * 3]);
      }
  }
  const int32_t some = 46341;  // a little more to the right than up or down
  CHECK(orientation_of_matrix(std::array<int32_t, 9>{some + 1, some, 0, -some, some + 1, 0, 0, 0, 1 << 30}) == 1);
  CHECK(orientation_of_matrix(std::array<int32_t, 9>{}) == 1);
  constexpr int32_t least = std::numeric_limits<int32_t>::min();
  CHECK(orientation_of_matrix(std::array<int32_t, 9>{least, 0, 0, 0, least, 0, 0, 0, 0}) == 3);
}

TEST_CASE("spectrogram: shape, padding and what is too short") {
  std::vector<float> clip(16000);
  for (size_t i = 0; i < clip.size(); ++i) clip[i] = 0.5F * std::sin(0.2F * static_cast<float>(i));
  CHECK(log_mel(clip).sizes() == at::IntArrayRef{80, 100});
  CHECK(log_mel(clip, {.mels = 128, .samples = 480000}).sizes() == at::IntArrayRef{128, 3000});
  CHECK(log_mel(clip, {.samples = 8000}).sizes() == at::IntArrayRef{80, 50});
  CHECK(log_mel(std::span(clip).first(201)).size(1) == 1);
  CHECK(says(refusal([&] { log_mel(std::span(clip).first(200)); }), "too short"));
  CHECK(says(refusal([&] { log_mel({}); }), "too short"));
  CHECK_THROWS_AS(log_mel(clip, {.mels = 0}), Error);
  const at::Tensor mel = log_mel(clip);
  CHECK(mel.max().item<float>() - mel.min().item<float>() <= 2.0F + 1e-6F);  // 8 below the maximum, quartered
  CHECK(mel.select(1, 50).argmax().item<int64_t>() == 13);                   // 509 Hz is 7.6 mel of 45.2
}

TEST_CASE("spectrograms of several threads are equal") {
  std::vector<float> clip(20000);
  for (size_t i = 0; i < clip.size(); ++i) clip[i] = std::sin(0.001F * static_cast<float>(i * i % 6000));
  const at::Tensor expected = log_mel(clip, {.mels = 96});
  std::vector<at::Tensor> results(4);
  {
    std::vector<std::jthread> threads;
    for (auto& result : results) threads.emplace_back([&] { result = log_mel(clip, {.mels = 96}); });
  }
  for (const auto& result : results) CHECK(at::equal(result, expected));
}

TEST_CASE("plan of a video: what is on screen, and what it takes to decode it") {
  // Decoding order I0 P2 B1 | I5 B3 B4 P6: B3 and B4 are shown before the key frame that they follow in the file.
  const auto packet = [](int64_t stamp, bool key) {
    return VideoPacket{stamp, static_cast<double>(stamp), 1, key, true};
  };
  const VideoPlan plan({packet(0, true), packet(2, false), packet(1, false), packet(5, true), packet(3, false),
                        packet(4, false), packet(6, false)});
  CHECK(plan.duration() == 7);
  CHECK(plan.packet_at(0.5) == 0);
  CHECK(plan.packet_at(1) == 2);
  CHECK(plan.packet_at(99) == 6);
  CHECK(plan.packet_at(-1) == 0);
  CHECK(plan.needed({6}) == std::vector<bool>{false, false, false, true, true, true, true});
  CHECK(plan.needed({4}) == std::vector<bool>{true, true, true, true, true, false, false});
  CHECK(plan.needed({0}) == std::vector<bool>{true, false, false, false, false, false, false});
}

TEST_CASE("tiles show the whole picture, on black, row by row") {
  Image picture{2, 4, std::vector<uint8_t>(24, 200)};
  for (int i = 0; i < 12; ++i) picture.rgb[static_cast<size_t>(i)] = 100;  // the upper row is darker
  const auto all = tiles(picture, {8, 8}, 4, Filter::nearest);             // 4 x 8 in the middle of 8 x 8
  REQUIRE(all.size() == 4);
  const auto at = [&](size_t tile, size_t row) { return static_cast<int>(all[tile].rgb[row * 12]); };
  for (const size_t left : {0, 1}) {
    CHECK((at(left, 0) == 0 && at(left, 1) == 0 && at(left, 2) == 100 && at(left, 3) == 100));
    CHECK((at(left + 2, 0) == 200 && at(left + 2, 1) == 200 && at(left + 2, 2) == 0 && at(left + 2, 3) == 0));
  }
}

TEST_CASE("the resolution to tile to shows most of a picture and wastes least; bad ones are refused") {
  const std::vector<Size> some{{28, 56}, {56, 28}, {56, 56}};
  CHECK(best_resolution({100, 300}, some) == Size{28, 56});
  CHECK(best_resolution({300, 100}, some) == Size{56, 28});
  CHECK(best_resolution({300, 300}, some) == Size{56, 56});
  CHECK(best_resolution({20, 20}, some) == Size{28, 56});  // all keep every pixel: the first of those that waste least
  CHECK(parse_size("336x672") == Size{336, 672});
  for (const auto* text :
       {"", "x", "336", "336x", "x672", "336x672x", "-1x4", "0x4", "4x0", "3 x4", "336X672", "99999999x4"})
    CHECK_THROWS_AS(parse_size(text), Error);
}
