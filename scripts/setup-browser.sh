#!/usr/bin/env bash
# Install what the tests of the page and its screenshots need: Chromium, and the fonts they are
# drawn with. Does nothing where Chromium is there; says so and goes on where it cannot install.
#
#   scripts/setup-browser.sh
#
# Settings: PERSONAREC_CHROMIUM (the program, where it is not /usr/bin/chromium),
# PERSONAREC_TEST_INSTALL=no (no packages).
set -euo pipefail

browser=${PERSONAREC_CHROMIUM:-/usr/bin/chromium}
say() { echo "browser: $*"; }

if [ -x "$browser" ]; then exit 0; fi
if [ "${PERSONAREC_TEST_INSTALL:-yes}" = no ] || [ "$(id -u)" != 0 ] ||
  [ ! -e /etc/debian_version ] || ! command -v apt-get >/dev/null; then
  say "!! NO CHROMIUM: the page will not be tested. Install Debian's chromium, or name one in" \
    "PERSONAREC_CHROMIUM."
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
options=(-q -o DPkg::Lock::Timeout=60 -o Acquire::http::Timeout=20 -o Acquire::Retries=2)
say "installing chromium"
apt-get "${options[@]}" update >/dev/null || true # old lists may still do
if apt-get "${options[@]}" install --yes --no-install-recommends \
  chromium fonts-inter fonts-jetbrains-mono >/dev/null; then
  say "installed $("$browser" --version 2>/dev/null || echo chromium)"
else
  say "!! NO CHROMIUM: apt-get failed; the page will not be tested"
fi
