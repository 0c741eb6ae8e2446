# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of whole programs share: real Guix machines, the example channel, Panoply's
programs, and waiting with deadlines. README.md shows how to write a test."""
