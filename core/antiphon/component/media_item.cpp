#include <antiphon/component/media_item.h>

namespace antiphon {

std::string_view to_string(Modality modality) {
  switch (modality) {
    case Modality::image: return "image";
    case Modality::audio: return "audio";
    case Modality::video: return "video";
  }
  return "";
}

}  // namespace antiphon
