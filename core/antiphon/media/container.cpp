#if ANTIPHON_FFMPEG
#include <antiphon/media/container.h>

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include <antiphon/base/error.h>

extern "C" {
#include <libavutil/dict.h>
#include <libavutil/mem.h>
#include <libavutil/opt.h>
}

namespace antiphon::media {
namespace {

constexpr const char* kFormats =
    "mov,mp4,m4a,3gp,matroska,webm,wav,mp3,flac,ogg,gif,mpeg,mpegvideo,avi,g722,aac,aiff,au,caf,w64,amr,asf";
constexpr const char* kFormatsInWords =
    "MP4/MOV, Matroska/WebM, WAV, MP3, FLAC, Ogg, AVI, MPEG, GIF, AAC, G.722, AIFF, AU, CAF, W64, AMR and WMA are read";
constexpr int kIoBuffer = 1 << 16;

int refuse_open(AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) { return AVERROR(EACCES); }

// By name, with what converts it: FFmpeg reads some of it, and none of what is packed.
void refuse_sphere(std::string_view bytes) {
  if (bytes.starts_with("NIST_1A\n"))
    fail(ErrorKind::data, "sounds of the kind NIST SPHERE are not read: many are packed by Shorten",
         "convert it: sph2pipe -f wav FILE sound.wav");
}

bool names_g722(std::string_view extension) {
  if (extension.starts_with('.')) extension.remove_prefix(1);
  return std::ranges::equal(extension, std::string_view("g722"), [](char a, char b) { return std::tolower(a) == b; });
}

}  // namespace

Container::Container(std::string_view bytes, std::string_view extension, const MediaLimits& limits,
                     const Deadline& deadline)
    : bytes_(bytes), limits_(limits), deadline_(deadline) {
  set_up_ffmpeg();
  if (bytes.empty()) fail(ErrorKind::data, "no sound or video: the file is empty");
  if (bytes.size() > limits.file_bytes)
    fail(ErrorKind::data,
         fmt::format("the file has {} bytes; at most {} are accepted", bytes.size(), limits.file_bytes));
  refuse_sphere(bytes);
  auto* buffer = static_cast<unsigned char*>(allocated(av_malloc(kIoBuffer)));
  AVIOContext* io = avio_alloc_context(buffer, kIoBuffer, 0, this, read_bytes, nullptr, seek);
  if (!io) av_free(buffer);
  io_.reset(static_cast<AVIOContext*>(allocated(io)));
  open(probe(extension));
  check_streams();
}

void Container::FreeIo::operator()(AVIOContext* io) const {
  av_freep(&io->buffer);
  avio_context_free(&io);
}

int Container::read_bytes(void* self, uint8_t* out, int count) {
  auto& input = *static_cast<Container*>(self);
  if (input.deadline_.passed()) return AVERROR_EXIT;
  const size_t n = std::min(static_cast<size_t>(count), input.bytes_.size() - input.at_);
  if (n == 0) return AVERROR_EOF;
  std::memcpy(out, input.bytes_.data() + input.at_, n);
  input.at_ += n;
  return static_cast<int>(n);
}

int64_t Container::seek(void* self, int64_t offset, int whence) {
  auto& input = *static_cast<Container*>(self);
  const auto size = static_cast<int64_t>(input.bytes_.size());
  whence &= ~AVSEEK_FORCE;
  if (whence == AVSEEK_SIZE) return size;
  const int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? static_cast<int64_t>(input.at_) : size;
  if (offset < -base || offset > size - base) return AVERROR(EINVAL);
  input.at_ = static_cast<size_t>(base + offset);
  return base + offset;
}

int Container::out_of_time(void* self) { return static_cast<Container*>(self)->deadline_.passed(); }

const AVInputFormat* Container::probe(std::string_view extension) {
  const AVInputFormat* format = nullptr;
  const auto most = static_cast<unsigned>(limits_.probe_bytes);
  const int score = av_probe_input_buffer2(io_.get(), &format, "", nullptr, 0, most);
  deadline_.check();
  // Raw G.722 has no signature, so its bytes may faintly resemble another format.
  const bool sure = score > AVPROBE_SCORE_EXTENSION && format && listed(format->name, kFormats);
  if (names_g722(extension) && !sure) {
    avio_seek(io_.get(), 0, SEEK_SET);
    return av_find_input_format("g722");
  }
  if (score < 0 || !format) fail(ErrorKind::data, "no sound or video: unknown format", kFormatsInWords);
  if (!listed(format->name, kFormats))
    fail(ErrorKind::data,
         fmt::format("files of the kind \"{}\" are not accepted", format->long_name ? format->long_name : format->name),
         kFormatsInWords);
  return format;
}

void Container::open(const AVInputFormat* format) {
  context_.reset(static_cast<AVFormatContext*>(allocated(avformat_alloc_context())));
  context_->pb = io_.get();
  context_->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_GENPTS;
  context_->io_open = refuse_open;
  context_->interrupt_callback = {out_of_time, this};
  context_->probesize = limits_.probe_bytes;
  av_opt_set(context_.get(), "format_whitelist", kFormats, 0);
  av_opt_set(context_.get(), "protocol_whitelist", "", 0);
  av_opt_set(context_.get(), "codec_whitelist", accepted_codecs(), 0);
  AVFormatContext* context = context_.release();  // avformat_open_input frees it on failure
  if (avformat_open_input(&context, "", format, nullptr) < 0) {
    deadline_.check();
    fail(ErrorKind::data, fmt::format("the {} file is damaged: its header cannot be read", format->name));
  }
  context_.reset(context);
  for (unsigned i = 0; i < context_->nb_streams; ++i) {
    const AVCodecParameters& stream = *context_->streams[i]->codecpar;
    if (stream.codec_type == AVMEDIA_TYPE_VIDEO && stream.width > 0)
      check_picture_size(stream.width, stream.height, limits_);
  }
  const int found = avformat_find_stream_info(context_.get(), nullptr);
  deadline_.check();
  if (found < 0) fail(ErrorKind::data, fmt::format("the {} file is damaged: its streams cannot be read", format->name));
}

void Container::check_streams() const {
  int64_t count = 0;
  for (unsigned i = 0; i < context_->nb_streams; ++i) {
    const AVMediaType type = context_->streams[i]->codecpar->codec_type;
    count += type == AVMEDIA_TYPE_VIDEO || type == AVMEDIA_TYPE_AUDIO;
  }
  if (count > limits_.streams)
    fail(ErrorKind::data, fmt::format("the file holds {} streams of pictures and sound; at most {} are accepted", count,
                                      limits_.streams));
}

AVStream* Container::best(AVMediaType type) const {
  const int index = av_find_best_stream(context_.get(), type, -1, -1, nullptr, 0);
  return index < 0 ? nullptr : context_->streams[index];
}

void Container::select(const AVStream* first, const AVStream* second) {
  for (unsigned i = 0; i < context_->nb_streams; ++i) {
    AVStream* stream = context_->streams[i];
    stream->discard = stream == first || stream == second ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
  }
}

bool Container::read(AVPacket& packet) {
  av_packet_unref(&packet);
  const int status = av_read_frame(context_.get(), &packet);
  deadline_.check();
  return status >= 0;
}

bool Container::stores_times() const {
  const std::string_view name = context_->iformat->name;
  return name.starts_with("mov,") || name.starts_with("matroska,");
}

std::optional<SoundLength> Container::sound_length(const AVStream& stream) const {
  const std::string_view name = context_->iformat->name;
  if (name == "ogg") return ogg_sound_length(bytes_);
  if (!name.starts_with("mov,")) return std::nullopt;
  if (auto length = mp4_sound_length(bytes_, static_cast<uint32_t>(stream.id))) return length;
  const AVDictionaryEntry* note = av_dict_get(context_->metadata, "iTunSMPB", nullptr, 0);
  return note ? itunes_sound_length(note->value, stream.codecpar->sample_rate) : std::nullopt;
}

double Container::start() const {
  return context_->start_time == AV_NOPTS_VALUE ? 0.0 : static_cast<double>(context_->start_time) / AV_TIME_BASE;
}

}  // namespace antiphon::media
#endif
