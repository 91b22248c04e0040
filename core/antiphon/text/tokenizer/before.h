// What precedes a text that is tokenized.
#pragma once

namespace antiphon::text {

// Nothing; a control token or a media item; or text that it continues.
enum class Before { nothing, token, text };

}  // namespace antiphon::text
