;;; SPDX-License-Identifier: GPL-3.0-or-later

(define-module (example packages almanac)
  #:use-module (example build-system busybox)
  #:use-module (guix gexp)
  #:use-module ((guix licenses) #:prefix license:)
  #:use-module (guix packages)
  #:export (program))

(define (program name text)
  "Return shell code that installs TEXT, which may use the variables of the
build, as the program NAME."
  (string-append "mkdir -p $out/bin
cat > $out/bin/" name " <<END
#!$shell
" text "
END
chmod 555 $out/bin/" name "\n"))

(define-public tide-tables
  (package
    (name "tide-tables")
    (version "2026")
    (source
     (origin
       (method busybox-fetch)
       ;; High water of a year of invented tides: day, minute, centimetres.
       (uri "awk 'BEGIN { for (day = 1; day <= 365; day++)
  printf \"%d %d %d\\n\", day, (day * 50) % 745, 320 + (day * 7) % 90 }' > $out\n")
       (file-name "tides-2026.txt")
       (sha256
        (base32 "15mn7kb1dm933gl6xiwf69xch75v1x6s3sxbkmwyc95llynkschr"))))
    (build-system busybox-build-system)
    (arguments
     (list #:script "mkdir -p $out/share/tides
cp $source $out/share/tides/$version.txt
wc -l $out/share/tides/$version.txt\n"))
    (home-page "https://example.org/tide-tables")
    (synopsis "Times and heights of high water")
    (description
     "This package holds the time and the height of high water for each day of
the year, one day a line.")
    (license license:cc0)))

(define-public libtide
  (package
    (name "libtide")
    (version "1.4.2")
    (source #f)
    (build-system busybox-build-system)
    (outputs '("out" "lib" "doc"))
    (arguments
     (list #:script (string-append "mkdir -p $lib/lib $doc/share/doc/libtide
cat > $lib/lib/tide.sh <<'END'
# high_water FILE DAY
high_water() {
  awk -v day=\"$2\" '$1 == day { print \"high water at\", $2, \"min:\", $3, \"cm\" }' \"$1\"
}
END
" (program "tide-version" "echo libtide $version in $lib")
"cat > $doc/share/doc/libtide/README <<END
The functions are in $lib/lib/tide.sh, the program is $out/bin/tide-version.
END
echo \"libtide $version: $(wc -c < $lib/lib/tide.sh) bytes\"\n")))
    (home-page "https://example.org/libtide")
    (synopsis "Shell functions for tide tables")
    (description
     "Libtide looks up the time and the height of high water in tide tables.")
    (license license:lgpl3+)))

(define-public tide-calendar
  (package
    (name "tide-calendar")
    (version "0.9.1")
    (source #f)
    (build-system busybox-build-system)
    (inputs (list tide-tables `(,libtide "lib")))
    (arguments
     (list #:script (program "tide-calendar" ". $libtide_lib/lib/tide.sh
high_water $tide_tables/share/tides/2026.txt \\${1:-1}")))
    (home-page "https://example.org/tide-calendar")
    (synopsis "Print the tide of a day")
    (description
     "Tide-calendar prints when the water is highest on a given day.")
    (license license:gpl3+)))

(define-public harbour-clock
  (package
    (name "harbour-clock")
    (version "3.0")
    (source #f)
    (build-system busybox-build-system)
    (inputs (list tide-calendar))
    (arguments
     (list #:script (program "harbour-clock"
                             "for day in 1 2 3 4 5 6 7; do
  $tide_calendar/bin/tide-calendar \\$day
done")))
    (home-page "https://example.org/harbour-clock")
    (synopsis "Show a week of tides")
    (description "Harbour-clock shows the tides of the week.")
    (license license:gpl3+)))

(define-public moon-phases
  (package
    (name "moon-phases")
    (version "1.1")
    (source #f)
    (build-system busybox-build-system)
    (inputs (list `(,libtide "lib")))
    (arguments
     (list #:script (program "moon-phase" "# $libtide_lib
echo \"the moon is \\$(( \\${1:-1} % 30 )) days old\"")))
    (home-page "https://example.org/moon-phases")
    (synopsis "Tell the age of the moon")
    (description "Moon-phases tells how old the moon is on a given day.")
    (license license:gpl3+)))

(define-public sunrise
  (package
    (name "sunrise")
    (version "5.2.0")
    (source #f)
    (build-system busybox-build-system)
    (inputs (list `(,libtide "lib")))
    (arguments
     (list #:script (program "sunrise" "# $libtide_lib
echo \"sunrise at 6:\\$(( 10 + \\${1:-1} % 50 ))\"")))
    (home-page "https://example.org/sunrise")
    (synopsis "Tell when the sun rises")
    (description "Sunrise tells when the sun rises on a given day.")
    (license license:gpl3+)))

(define-public almanac
  (package
    (name "almanac")
    (version "2026.1")
    (source #f)
    (build-system busybox-build-system)
    (inputs (list moon-phases sunrise tide-calendar))
    (arguments
     (list #:script (program "almanac" "$sunrise/bin/sunrise \\$1
$moon_phases/bin/moon-phase \\$1
$tide_calendar/bin/tide-calendar \\$1")))
    (home-page "https://example.org/almanac")
    (synopsis "Sun, moon and tide of a day")
    (description
     "The almanac prints sunrise, the age of the moon and the tide of a given
day.")
    (license license:gpl3+)))

;;; almanac.scm ends here
