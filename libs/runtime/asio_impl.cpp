// Asio and Beast, compiled once: every other source file sees declarations only (cmake/Dependencies.cmake).
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
