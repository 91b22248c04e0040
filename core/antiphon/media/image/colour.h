// Changes of a picture's colours and framing, with Pillow's arithmetic, as torchvision's transforms use it.
#pragma once
#include <antiphon/component/media_item.h>
#include <antiphon/media/size.h>

namespace antiphon::media {

// Byte for byte what PIL.ImageEnhance.Brightness, Contrast and Color give for this factor; 1: the picture as it is.
// (src/PIL/ImageEnhance.py, src/libImaging/Blend.c)
void adjust_brightness(Image& image, double factor);
void adjust_contrast(Image& image, double factor);
void adjust_saturation(Image& image, double factor);
// Turned by this part of the colour circle, -0.5 to 0.5, in Pillow's HSV of 8 bits (src/libImaging/Convert.c), as
// torchvision's adjust_hue does it.
void adjust_hue(Image& image, double turn);

// Mirrored, left to right.
void flip(Image& image);
// A part of the picture at the size `to`: PIL.Image.crop, then resize with BILINEAR. The part lies within the picture.
Image resized_crop(const Image& image, int64_t top, int64_t left, Size part, Size to);

}  // namespace antiphon::media
