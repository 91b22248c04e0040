#if ANTIPHON_FFMPEG
#include <antiphon/media/image/jpeg.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <vector>

#include <fmt/format.h>
#include <jpeglib.h>

#include <antiphon/base/error.h>
#include <antiphon/media/image/pixels.h>

extern "C" {
#include <jerror.h>
}

namespace antiphon::media {
namespace {

// What libjpeg only warns about although pixels are lost; it continues with grey.
bool is_damage(int warning) {
  constexpr std::array damages{JWRN_HIT_MARKER, JWRN_HUFF_BAD_CODE, JWRN_ARITH_BAD_CODE,
                               JWRN_JPEG_EOF,   JWRN_MUST_RESYNC,   JWRN_NOT_SEQUENTIAL};
  return std::ranges::find(damages, warning) != damages.end();
}

// One image on its way through libjpeg, whose errors leave by longjmp: only `guarded` calls it, and no stack frame in
// between has anything to destroy.
class JpegReader {
 public:
  JpegReader(std::string_view bytes, const MediaLimits& limits, const Deadline& deadline)
      : bytes_(bytes), limits_(limits), deadline_(deadline) {
    jpeg_.err = jpeg_std_error(&errors_);
    errors_.error_exit = [](j_common_ptr jpeg) { self(jpeg).leave(jpeg->err->msg_code); };
    errors_.emit_message = [](j_common_ptr jpeg, int level) {
      if (level < 0 && is_damage(jpeg->err->msg_code)) self(jpeg).leave(jpeg->err->msg_code);
    };
    jpeg_.client_data = this;
    guarded([this] { jpeg_create_decompress(&jpeg_); });
    jpeg_.client_data = this;
    monitor_.progress_monitor = [](j_common_ptr jpeg) { self(jpeg).watch(); };
    jpeg_.progress = &monitor_;
    jpeg_.mem->max_memory_to_use = kMostMemory;
  }
  ~JpegReader() { jpeg_destroy_decompress(&jpeg_); }
  JpegReader(const JpegReader&) = delete;

  Image read() {
    guarded([this] {
      jpeg_mem_src(&jpeg_, reinterpret_cast<const unsigned char*>(bytes_.data()), bytes_.size());
      jpeg_read_header(&jpeg_, TRUE);
    });
    check_picture_size(jpeg_.image_width, jpeg_.image_height, limits_);
    choose_colours();
    guarded([this] { jpeg_start_decompress(&jpeg_); });
    Image image{jpeg_.output_height, jpeg_.output_width,
                std::vector<uint8_t>(size_t{jpeg_.output_height} * jpeg_.output_width * 3)};
    row_.resize(size_t{jpeg_.output_width} * 4);
    while (jpeg_.output_scanline < jpeg_.output_height) read_row(image);
    guarded([this] { jpeg_finish_decompress(&jpeg_); });
    return image;
  }

 private:
  static constexpr long kMostMemory = 1L << 30;  // for progressive images: all coefficients are held
  static JpegReader& self(j_common_ptr jpeg) { return *static_cast<JpegReader*>(jpeg->client_data); }

  template <class Body>
  void guarded(Body&& body) {
    if (setjmp(out_) == 0) return body();
    deadline_.check();
    if (code_ == JERR_OUT_OF_MEMORY) fail(ErrorKind::memory, "no memory left to decode media");
    if (code_ == JERR_NO_BACKING_STORE)
      fail(ErrorKind::data, fmt::format("the JPEG takes more than {} bytes to decode", kMostMemory), "make it smaller");
    fail(ErrorKind::data, fmt::format("the JPEG is damaged or cut short: {}", reason_.data()));
  }

  [[noreturn]] void leave(int code) {
    code_ = code;
    jpeg_.err->format_message(reinterpret_cast<j_common_ptr>(&jpeg_), reason_.data());
    std::longjmp(out_, 1);
  }

  // Called now and then while a progressive image is read.
  void watch() {
    if (deadline_.passed()) std::longjmp(out_, 1);
  }

  void choose_colours() {
    const int count = jpeg_.num_components;
    if (count != 1 && count != 3 && count != 4)
      fail(ErrorKind::data, fmt::format("the JPEG has {} channels; 1, 3 and 4 are accepted", count));
    jpeg_.out_color_space = count == 4 ? JCS_CMYK : JCS_RGB;
  }

  void read_row(Image& image) {
    uint8_t* to = image.rgb.data() + size_t{jpeg_.output_scanline} * jpeg_.output_width * 3;
    JSAMPROW row = jpeg_.out_color_components == 4 ? row_.data() : to;
    guarded([&row, this] { jpeg_read_scanlines(&jpeg_, &row, 1); });
    if (jpeg_.out_color_components == 4) inverted_cmyk_to_rgb(row_.data(), image.width, to);
  }

  std::string_view bytes_;
  const MediaLimits& limits_;
  const Deadline& deadline_;
  jpeg_decompress_struct jpeg_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr monitor_{};
  std::jmp_buf out_;
  int code_ = 0;
  std::array<char, JMSG_LENGTH_MAX> reason_{};
  std::vector<uint8_t> row_;
};

}  // namespace

Image decode_jpeg(std::string_view bytes, const MediaLimits& limits, const Deadline& deadline) {
  return JpegReader(bytes, limits, deadline).read();
}

}  // namespace antiphon::media
#endif
