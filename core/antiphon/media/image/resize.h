// Resizing and cropping of 8-bit RGB images, and conversion to a float tensor.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include <ATen/core/Tensor.h>

#include <antiphon/component/media_item.h>
#include <antiphon/media/size.h>

namespace antiphon::media {

std::string_view to_string(Filter filter);
// Error(config) for any other number.
Filter filter_from_number(int64_t number);

// Bit for bit what PIL.Image.resize of Pillow 13 gives (src/libImaging/Resample.c): two passes, each with coefficients
// of 22 fractional bits and an 8-bit result; the support grows with the factor when shrinking. Pillow before 13 differs
// by rounding if the height shrinks by more than twice what the width does: it processes the rows first there too.
// Error(data) for an empty image or a size that is not positive.
Image resize(const Image& image, Size size, Filter filter);

// The size whose shorter edge is `shortest_edge`, the longer one truncated (get_resize_output_image_size of
// transformers with default_to_square=False). Error(data) if an edge would be 0.
Size shortest_edge_size(Size size, int64_t shortest_edge);

// The middle of the image, padded with black if it is smaller than asked for (center_crop of transformers).
Image center_crop(const Image& image, Size size);

// center_crop(resize(image, size, filter), crop) without computing the pixels that are cut off.
Image resize_and_crop(const Image& image, Size size, Size crop, Filter filter);

// float32 [3, height, width] on the CPU: (value * scale - mean) / std by channel, rounded as transformers' NumPy code.
struct Normalization {
  double scale = 1.0 / 255.0;
  std::array<double, 3> mean{0, 0, 0}, std{1, 1, 1};
};
at::Tensor to_tensor(const Image& image, const Normalization& normalization);

}  // namespace antiphon::media
