// A small encoder of images that obeys the contract, with one switch for each way to break it.
#pragma once
#include <ATen/ATen.h>

#include <antiphon/component/encoder.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/linear/linear.h>

#include <stdexcept>

namespace antiphon::fixture::encoder {

enum class Fault {
  none,
  lying_grid,
  cut_gradient,
  global_generator,
  foreign_exception,
  shared_state,
  unnamed_parameter
};

struct Options {
  int64_t width = 6;
};

inline const config::Table<Options>& options_table() {
  static const auto* table = new config::Table<Options>(
      config::Table<Options>("fixture").field("width", &Options::width, "of a vector", {.min = 1}));
  return *table;
}

// One vector for each row of the picture, from the mean colour of the row.
template <Fault fault>
class RowEncoder : public Encoder, private Module {
 public:
  explicit RowEncoder(const Options& options)
      : width_(options.width), first_(3, options.width, true), second_(options.width, options.width, true) {
    add("first", first_);
    add("second", second_);
  }
  Modality modality() const override { return Modality::image; }
  int64_t output_size() const override { return width_; }
  std::vector<int64_t> example_shape() const override { return {1, 3}; }
  TokenGrid output_grid(at::IntArrayRef shape) const override {
    if (shape.size() != 2 || shape[1] != 3) fail(ErrorKind::data, "expected a part [rows, 3]");
    return {1, shape[0] + (fault == Fault::lying_grid && shape[0] > 100 ? 1 : 0)};
  }

  std::vector<at::Tensor> process(const MediaItem& item) const override {
    if (item.modality != Modality::image || item.image.height < 1) {
      if (fault == Fault::foreign_exception) throw std::out_of_range("row");
      fail(ErrorKind::data, "expected an image with rows");
    }
    const auto& image = item.image;
    const auto bytes = at::from_blob(const_cast<uint8_t*>(image.rgb.data()), {image.height, image.width, 3}, at::kByte);
    return {bytes.to(at::kFloat).mean(1).div(255)};
  }

  at::Tensor forward(const at::Tensor& parts) override {
    if (fault == Fault::global_generator) at::rand({1});
    auto h = at::tanh(first_.forward(parts));
    if (fault == Fault::cut_gradient) h = h.detach();
    auto y = second_.forward(h);
    if (fault == Fault::shared_state) {
      static double calls = 0;
      y = y + 0.01 * ++calls;
    }
    return y;
  }

  Module& module() override { return *this; }
  NameMap name_map() const override {
    NameMap map{{{"rows.first.{}", "first.{}"}, {"rows.second.{}", "second.{}"}}, {}, {}};
    if (fault == Fault::unnamed_parameter) map.rules.pop_back();
    return map;
  }

 private:
  int64_t width_;
  nn::Linear first_, second_;
};

}  // namespace antiphon::fixture::encoder
