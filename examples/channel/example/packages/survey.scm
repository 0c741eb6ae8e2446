;;; SPDX-License-Identifier: GPL-3.0-or-later

;;; What goes wrong or takes long.
(define-module (example packages survey)
  #:use-module (example build-system busybox)
  #:use-module (example packages almanac)
  #:use-module (gnu packages)
  #:use-module ((guix licenses) #:prefix license:)
  #:use-module (guix packages))

;; How long the build of sea-floor-survey takes.
(define %survey-seconds 15)

(define-public sounding-log
  (package
    (name "sounding-log")
    (version "0.3")
    (source #f)
    (build-system busybox-build-system)
    (arguments
     (list #:script "seq 1 19996 | sed 's/^/sounding /; s/$/: sand and mud/'
echo 'Größe der Bucht: 12 km², Tiefe ≈ 40 m, 深い海'
printf '\\033[1;32mgreen\\033[0m <b>&amp; no markup</b>\\n'
head -c 10000 /dev/zero | tr '\\0' '~'
echo
echo 'end of the log'
mkdir $out
echo 19996 > $out/soundings\n"))
    (home-page "https://example.org/sounding-log")
    (synopsis "Every sounding of the bay")
    (description "Sounding-log prints every sounding of the bay while it builds.")
    (license license:gpl3+)))

(define-public sea-floor-survey
  (package
    (name "sea-floor-survey")
    (version "7.0")
    (source #f)
    (build-system busybox-build-system)
    (arguments
     (list #:script (string-append "seconds=" (number->string %survey-seconds) "
for second in $(seq 1 $seconds); do
  echo \"line $second of $seconds\"
  sleep 1
done
mkdir $out
echo $seconds > $out/lines\n")))
    (home-page "https://example.org/sea-floor-survey")
    (synopsis "Map of the sea floor")
    (description "Sea-floor-survey maps the sea floor, which takes a while.")
    (license license:gpl3+)))

(define-public sextant
  (package
    (name "sextant")
    (version "1.0")
    (source #f)
    (build-system busybox-build-system)
    (inputs (list sunrise))
    (arguments
     (list #:script "echo 'checking the horizon... ok'
echo 'sextant.c:42: error: the mirror is broken' >&2
exit 1\n"))
    (home-page "https://example.org/sextant")
    (synopsis "Measure the height of the sun")
    (description "Sextant measures the height of the sun, were it not broken.")
    (license license:gpl3+)))

(define-public navigator
  (package
    (name "navigator")
    (version "4.8")
    (source #f)
    (build-system busybox-build-system)
    (inputs (list almanac sextant))
    (arguments
     (list #:script (program "navigator" "$sextant/bin/sextant")))
    (home-page "https://example.org/navigator")
    (synopsis "Find the way")
    (description "Navigator finds the way by sun, moon and tide.")
    (license license:gpl3+)))

(define-public sonar
  (package
    (name "sonar")
    (version "2.2")
    (source #f)
    (build-system busybox-build-system)
    (supported-systems '("aarch64-linux"))
    (home-page "https://example.org/sonar")
    (synopsis "Listen to the sea")
    (description "Sonar drives hardware that only boats with ARM boards have.")
    (license license:gpl3+)))

(define-public lighthouse
  (package
    (name "lighthouse")
    (version "0.1")
    (source
     (origin
       (method busybox-fetch)
       (uri "echo light > $out\n")
       (patches (search-patches "lighthouse-turn-the-lamp-on.patch"))
       (sha256
        (base32 "0000000000000000000000000000000000000000000000000000"))))
    (build-system busybox-build-system)
    (home-page "https://example.org/lighthouse")
    (synopsis "Light in the night")
    (description "Lighthouse lacks a patch that somebody forgot to add.")
    (license license:gpl3+)))

;;; survey.scm ends here
