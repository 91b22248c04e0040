// Runs the media functions over files for media_parity.py: one request a line on stdin, one line of sizes (or
// "error TEXT") a request on stdout, the raw result in the file that the request names first.
//   image OUT FILE [TRANSPARENCY GRAY16] | resize OUT FILE HEIGHT WIDTH FILTER | audio OUT FILE RATE | mel OUT FLOATS
//   MELS SAMPLES filters OUT MELS | tensor OUT FILE EDGE CROP | video OUT FILE FRAMES FPS RATE | times
//   colour OUT RGB HEIGHT WIDTH NAME VALUE | crop OUT RGB HEIGHT WIDTH TOP LEFT H W | speed OUT FLOATS RATE SPEED
//   noise OUT FLOATS FLOATS BEGIN SNR | stretch OUT FLOATS RATE | telephone OUT FLOATS LAW | g711 OUT FLOATS LAW
//   beside OUT FILE
// What reads FILE of `image`, `audio` and `video` may open nothing else; `beside` does, to show that it is told.
#include <chrono>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>

#include <ATen/core/Tensor.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/data/augment/changes.h>
#include <antiphon/media/audio/log_mel.h>
#include <antiphon/media/audio/mel_bank.h>
#include <antiphon/media/audio/speed.h>
#include <antiphon/media/decode.h>
#include <antiphon/media/image/colour.h>
#include <antiphon/media/image/resize.h>
#include <antiphon/media/opened_test.h>

using namespace antiphon;
using namespace antiphon::media;

namespace {

template <class T>
void write(const std::string& path, const T* data, size_t count) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(count * sizeof(T)));
}

std::string write_tensor(const std::string& path, const at::Tensor& tensor) {
  const at::Tensor dense = tensor.contiguous();
  write(path, dense.const_data_ptr<float>(), static_cast<size_t>(dense.numel()));
  return fmt::format("{}", fmt::join(dense.sizes().begin(), dense.sizes().end(), " "));
}

std::string write_image(const std::string& path, const Image& image) {
  write(path, image.rgb.data(), image.rgb.size());
  return fmt::format("{} {}", image.height, image.width);
}

// Bytes of RGB without a header, which need no decoder.
Image raw_image(const std::string& path, int64_t height, int64_t width) {
  const std::string bytes = read_file(path, ErrorKind::data);
  return {height, width, std::vector<uint8_t>(bytes.begin(), bytes.end())};
}

template <class Body>
double best_milliseconds(Body&& body) {
  double best = 1e9;
  for (int i = 0; i < 20; ++i) {
    const auto start = std::chrono::steady_clock::now();
    body();
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

// What `load` gives, which opens this file alone, whether it fails or not.
template <class Load>
auto opening_alone(const std::string& file, Load&& load) {
  const Opened opened;
  const auto check = [&] {
    for (const auto& name : opened.names())
      if (name != file) fail(ErrorKind::internal, "opens " + name);
  };
  try {
    auto loaded = load();
    check();
    return loaded;
  } catch (const Error&) {
    check();
    throw;
  }
}

std::string beside(std::istream& in, const std::string&) {
  if (const auto& why = Opened::unwatched(); !why.empty()) return why;
  std::string file;
  in >> file;
  return opening_alone(file, [&] { return read_file(file + ".beside", ErrorKind::data); });
}

std::string image(std::istream& in, const std::string& out) {
  std::string file;
  ImageReading reading;
  in >> file;
  std::string transparency, gray16;
  if (in >> transparency >> gray16) reading = {transparency, gray16};
  return write_image(out, opening_alone(file, [&] { return load_image(file, {}, reading); }));
}

std::string resize_raw(std::istream& in, const std::string& out) {
  std::string file;
  int64_t height, width, filter;
  Size size;
  in >> file >> height >> width >> size.height >> size.width >> filter;
  return write_image(out, resize(raw_image(file, height, width), size, filter_from_number(filter)));
}

std::string tensor(std::istream& in, const std::string& out) {
  std::string file;
  int64_t height, width, edge, crop;
  in >> file >> height >> width >> edge >> crop;
  const Image source = raw_image(file, height, width);
  const Image resized = resize(source, shortest_edge_size({height, width}, edge), Filter::bicubic);
  return write_tensor(
      out, to_tensor(center_crop(resized, {crop, crop}), {1.0 / 255, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}}));
}

std::string audio(std::istream& in, const std::string& out) {
  std::string file;
  int64_t rate;
  in >> file >> rate;
  const Audio sound = opening_alone(file, [&] { return load_audio(file, rate); });
  write(out, sound.samples.data(), sound.samples.size());
  return std::to_string(sound.samples.size());
}

std::string mel(std::istream& in, const std::string& out) {
  std::string file;
  LogMelOptions options;
  in >> file >> options.mels >> options.samples;
  const std::string bytes = read_file(file, ErrorKind::data);
  return write_tensor(out, log_mel({reinterpret_cast<const float*>(bytes.data()), bytes.size() / 4}, options));
}

std::string filters(std::istream& in, const std::string& out) {
  int64_t mels;
  in >> mels;
  return write_tensor(out, MelBank::of(mels, 201).filters());
}

// "DURATION HEIGHT WIDTH SAMPLES TIMES…"; the frames, then the samples.
std::string video(std::istream& in, const std::string& out) {
  std::string file;
  VideoOptions options;
  in >> file >> options.frames >> options.frames_per_second >> options.sample_rate;
  const Video video = opening_alone(file, [&] { return load_video(file, options); });
  std::ofstream to(out, std::ios::binary);
  std::string line = fmt::format("{} {} {} {}", video.seconds, video.frames[0].image.height,
                                 video.frames[0].image.width, video.audio ? video.audio->samples.size() : 0);
  for (const VideoFrame& frame : video.frames) {
    to.write(reinterpret_cast<const char*>(frame.image.rgb.data()),
             static_cast<std::streamsize>(frame.image.rgb.size()));
    line += fmt::format(" {}", frame.seconds);
  }
  if (video.audio)
    to.write(reinterpret_cast<const char*>(video.audio->samples.data()),
             static_cast<std::streamsize>(video.audio->samples.size() * 4));
  return line;
}

std::string colour(std::istream& in, const std::string& out) {
  std::string file, name;
  int64_t height, width;
  double value;
  in >> file >> height >> width >> name >> value;
  auto image = raw_image(file, height, width);
  if (name == "brightness") adjust_brightness(image, value);
  if (name == "contrast") adjust_contrast(image, value);
  if (name == "saturation") adjust_saturation(image, value);
  if (name == "hue") adjust_hue(image, value);
  if (name == "flip") flip(image);
  return write_image(out, image);
}

std::string crop(std::istream& in, const std::string& out) {
  std::string file;
  int64_t height, width, top, left;
  Size part;
  in >> file >> height >> width >> top >> left >> part.height >> part.width;
  return write_image(out, resized_crop(raw_image(file, height, width), top, left, part, {height, width}));
}

Audio raw_audio(const std::string& path, int64_t rate) {
  const auto bytes = read_file(path, ErrorKind::data);
  const auto* samples = reinterpret_cast<const float*>(bytes.data());
  return {rate, {samples, samples + bytes.size() / sizeof(float)}};
}

std::string write_audio(const std::string& path, const Audio& audio) {
  write(path, audio.samples.data(), audio.samples.size());
  return std::to_string(audio.samples.size());
}

std::string speed(std::istream& in, const std::string& out) {
  std::string file;
  int64_t rate;
  double speed;
  in >> file >> rate >> speed;
  return write_audio(out, change_speed(raw_audio(file, rate), speed));
}

std::string noise(std::istream& in, const std::string& out) {
  std::string file, noise;
  int64_t begin;
  double snr;
  in >> file >> noise >> begin >> snr;
  auto audio = raw_audio(file, 16000);
  data::lay_noise(audio, raw_audio(noise, 16000), begin, snr);
  return write_audio(out, audio);
}

std::string stretch(std::istream& in, const std::string& out) {
  std::string file;
  double rate;
  in >> file >> rate;
  auto audio = raw_audio(file, 16000);
  data::stretch(audio, rate);
  return write_audio(out, audio);
}

std::string telephone(std::istream& in, const std::string& out) {
  std::string file, law;
  in >> file >> law;
  auto audio = raw_audio(file, 16000);
  data::telephone(audio, law, {});
  return write_audio(out, audio);
}

std::string g711(std::istream& in, const std::string& out) {
  std::string file, law;
  in >> file >> law;
  auto audio = raw_audio(file, 8000);
  for (float& sample : audio.samples) sample = data::through_g711(sample, law);
  return write_audio(out, audio);
}

std::string times(std::istream&, const std::string&) {
  const Image source{480, 640, std::vector<uint8_t>(480 * 640 * 3, 77)};
  const std::vector<float> clip(480000, 0.1F);
  return fmt::format("{} {} {}", best_milliseconds([&] {
                       resize(source, {224, 224}, Filter::bilinear);
                     }),
                     best_milliseconds([&] {
                       resize(source, {224, 224}, Filter::bicubic);
                     }),
                     best_milliseconds([&] { log_mel(clip); }));
}

}  // namespace

int main() {
  const std::map<std::string, std::function<std::string(std::istream&, const std::string&)>> requests{
      {"image", image},     {"resize", resize_raw},   {"tensor", tensor}, {"audio", audio},
      {"mel", mel},         {"filters", filters},     {"video", video},   {"times", times},
      {"colour", colour},   {"crop", crop},           {"speed", speed},   {"noise", noise},
      {"stretch", stretch}, {"telephone", telephone}, {"g711", g711},     {"beside", beside}};
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::string name, out;
    in >> name >> out;
    try {
      std::cout << requests.at(name)(in, out) << std::endl;
    } catch (const Error& error) {
      std::cout << "error " << to_string(error.kind()) << ": " << error.message() << std::endl;
    }
  }
}
