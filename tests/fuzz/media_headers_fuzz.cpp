// Our own readers of pictures' and sounds' files: any bytes are rejected with Error(data) or read, within bounds.
#include <cstdlib>
#include <string>
#include <string_view>

#include <antiphon/base/error.h>
#include <antiphon/media/audio/sound_length.h>
#include <antiphon/media/image/gif.h>
#include <antiphon/media/image/image_header.h>
#include <antiphon/media/image/png.h>
#include <antiphon/media/image/tiff.h>
#include <antiphon/media/image/webp.h>

using namespace antiphon;
using namespace antiphon::media;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void read_picture(std::string_view bytes) {
  const ImageHeader header = read_image_header(bytes);
  require(header.orientation >= 1 && header.orientation <= 8);
  if (header.format == ImageFormat::png) require(png_pixel_chunks(bytes, false).size() <= bytes.size());
  if (header.format == ImageFormat::tiff) require(plain_tiff(bytes).size() == bytes.size());
  if (header.format == ImageFormat::webp) first_webp_frame(bytes);
  if (header.format != ImageFormat::gif) return;
  const Image image = decode_gif(bytes, bytes.size() % 2, {.pixels = 100'000});
  require(image.rgb.size() == static_cast<size_t>(image.width * image.height * 3));
}

template <class Body>
void only_data_errors(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::data);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  only_data_errors([&] { read_picture(bytes); });
  only_data_errors([&] { check_wav_length(bytes); });
  only_data_errors([&] { ogg_sound_length(bytes); });
  only_data_errors([&] { mp4_sound_length(bytes, 1); });
  only_data_errors([&] { itunes_sound_length(bytes, 44100); });
  return 0;
}
