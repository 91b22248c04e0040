#include <antiphon/train/http_client.h>

#include <boost/asio/ip/tcp.hpp>

#include <fmt/format.h>

#include <charconv>
#include <chrono>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>

namespace antiphon::train {
namespace {

constexpr size_t kLongestAnswer = 1 << 20;

// What follows the first line "HTTP/1.x 200 …", after the headers.
HttpAnswer answer_of(std::istream& in) {
  std::string version, line;
  HttpAnswer answer;
  in >> version >> answer.status;
  if (!in || !version.starts_with("HTTP/1.") || answer.status < 100 || answer.status > 599)
    return {0, "", "what came back is not HTTP"};
  while (std::getline(in, line) && line != "\r") {
  }
  char piece[4096];
  while (answer.body.size() < kLongestAnswer && (in.read(piece, sizeof piece), in.gcount() > 0))
    answer.body.append(piece, static_cast<size_t>(in.gcount()));
  return answer;
}

}  // namespace

HttpAddress http_address(const std::string& uri, const std::string& key) {
  constexpr std::string_view scheme = "http://";
  const auto refuse = [&](const char* why) {
    fail(ErrorKind::config, fmt::format("{} = {}: {}", key, shown(uri), why),
         "give an address such as http://127.0.0.1:5000; a server behind https can be reached through a tunnel");
  };
  if (!uri.starts_with(scheme)) refuse("expected an address that begins with http://");
  auto rest = uri.substr(scheme.size());
  HttpAddress address;
  if (const auto slash = rest.find('/'); slash != std::string::npos)
    address.path = rest.substr(slash), rest.resize(slash);
  while (address.path.ends_with('/')) address.path.pop_back();
  if (const auto colon = rest.rfind(':'); colon != std::string::npos)
    address.port = rest.substr(colon + 1), rest.resize(colon);
  address.host = rest;
  int port = 0;
  const auto [end, error] = std::from_chars(address.port.data(), address.port.data() + address.port.size(), port);
  if (address.host.empty() || address.host.find_first_of("@ \t\r\n?#") != std::string::npos) refuse("it has no host");
  if (address.path.find_first_of(" \t\r\n?#") != std::string::npos) refuse("its path is not one");
  if (error != std::errc() || *end != '\0' || port < 1 || port > 65535) refuse("its port is not one");
  return address;
}

HttpAnswer http_request(const HttpAddress& address, const std::string& path, const std::string& body,
                        const std::string& authorization, int seconds) {
  boost::asio::ip::tcp::iostream stream;
  stream.expires_after(std::chrono::seconds(seconds));
  stream.connect(address.host, address.port);
  if (!stream) return {0, "", stream.error().message()};
  stream << (body.empty() ? "GET " : "POST ") << address.path << path << " HTTP/1.0\r\nHost: " << address.host << ':'
         << address.port << "\r\nAccept: application/json\r\nConnection: close\r\n";
  if (!authorization.empty()) stream << "Authorization: " << authorization << "\r\n";
  if (!body.empty()) stream << "Content-Type: application/json\r\nContent-Length: " << body.size() << "\r\n";
  stream << "\r\n" << body << std::flush;
  if (!stream) return {0, "", stream.error().message()};
  auto answer = answer_of(stream);
  if (answer.status == 0 && stream.error()) answer.problem = stream.error().message();
  return answer;
}

std::string url_encoded(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~").find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace antiphon::train
