#include <antiphon/component/media_item.h>

namespace antiphon {

std::string_view to_string(Modality modality) { return modality == Modality::image ? "image" : "audio"; }

}  // namespace antiphon
