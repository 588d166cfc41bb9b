/*
 * URLs of http and https. Those that are returned are the caller's to free; NULL or an error where memory
 * lacks, where the text is no URL, or where it is one of another scheme.
 */
#ifndef PLAIT_IO_URL_H
#define PLAIT_IO_URL_H

#include <stdbool.h>

#include "err.h"

bool plait_url_is_http(const char *url);
bool plait_url_is_https(const char *url);
/* The absolute URL that `reference`, which may be relative, means on the page `base`. */
char *plait_url_resolve(const char *base, const char *reference);
/* The URL without user, password and fragment: what may be shown and written down. */
char *plait_url_public(const char *url);
/* The host, for people. */
char *plait_url_host(const char *url);
/* The port, written out or usual for the scheme; −1 where there is none. */
int plait_url_port(const char *url);
/* Same scheme, host and port. */
bool plait_url_same_origin(const char *a, const char *b);
/* Whether the path ends with the suffix, in small or capital letters; queries do not count. */
bool plait_url_path_ends(const char *url, const char *suffix);

#endif
