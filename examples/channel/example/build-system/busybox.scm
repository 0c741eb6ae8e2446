;;; SPDX-License-Identifier: GPL-3.0-or-later

(define-module (example build-system busybox)
  #:use-module (guix build-system)
  #:use-module (guix derivations)
  #:use-module (guix gexp)
  #:use-module (guix monads)
  #:use-module (guix packages)
  #:use-module (guix store)
  #:use-module (guix utils)
  #:use-module (ice-9 match)
  #:use-module (srfi srfi-1)
  #:use-module (srfi srfi-71)
  #:export (busybox-build-system
            busybox-derivation
            busybox-fetch))

;;; Commentary:
;;;
;;; A build system for shell scripts that depends on one static program.  The
;;; shell of BusyBox runs the package's #:script, which finds
;;;
;;;   - all tools of BusyBox in PATH,
;;;   - the name and version of the package in $package and $version,
;;;   - its outputs in $out, $lib, ...: they do not exist yet,
;;;   - its source in $source, and each input under its own name, where "_"
;;;     stands for what is neither letter nor digit: $tide_tables,
;;;     $libtide_lib for the output "lib" of libtide,
;;;   - a shell for the programs that it installs in $shell.
;;;
;;; Code:

(define %tools
  ;; A folder, since BusyBox wants to be called "busybox".
  (local-file "../../tools" "busybox-static" #:recursive? #t))

(define %prologue
  ;; Before each script.
  "set -eu
mkdir \"$TMPDIR/bin\"
$busybox --install -s \"$TMPDIR/bin\"
export PATH=\"$TMPDIR/bin\"
shell=\"$busybox sh\"
cd \"$TMPDIR\"
")

(define (variable-name label)
  (string-map (lambda (char)
                (if (char-set-contains? char-set:letter+digit char) char #\_))
              label))

(define* (busybox-derivation name script
                             #:key system (inputs '()) (outputs '("out"))
                             (variables '()) hash hash-algo)
  "Return, as a monadic value, the derivation NAME that runs SCRIPT.  INPUTS
are pairs of a variable and a <gexp-input>; HASH, with HASH-ALGO, is that of
the only output, where it is known."
  (define (lower input)
    (mlet %store-monad ((object (lower-object (gexp-input-thing (cdr input))
                                              system)))
      (return (list (car input) object (gexp-input-output (cdr input))))))

  (define input-path
    (match-lambda
      ((variable (? derivation? drv) output)
       (cons variable (derivation->output-path drv output)))
      ((variable (? string? item) _)
       (cons variable item))))

  (mlet* %store-monad ((tools   (lower-object %tools system))
                       (script  (text-file (string-append name "-builder.sh")
                                           (string-append %prologue script)))
                       (lowered (mapm %store-monad lower inputs))
                       (busybox -> (string-append tools "/busybox")))
    (raw-derivation name busybox (list "sh" script)
                    #:system system
                    #:inputs (filter-map (match-lambda
                                           ((_ (? derivation? drv) output)
                                            (derivation-input drv (list output)))
                                           (_ #f))
                                         lowered)
                    #:sources (cons* tools script
                                     (filter string? (map second lowered)))
                    #:outputs outputs
                    #:env-vars `(("busybox" . ,busybox)
                                 ,@variables
                                 ,@(map input-path lowered))
                    #:hash hash
                    #:hash-algo hash-algo)))

(define* (busybox-build name inputs
                        #:key system outputs (script "mkdir $out\n")
                        #:allow-other-keys)
  "Build NAME, as in \"libtide-1.4.2\", by running SCRIPT."
  (define input->pair
    (match-lambda
      ((label input)
       (cons (match (gexp-input-output input)
               ("out"  (variable-name label))
               (output (variable-name (string-append
                                       (first (string-split label #\:))
                                       "_" output))))
             input))))

  (let ((package version (package-name->name+version name #\-)))
    (busybox-derivation name script
                        #:system system
                        #:inputs (map input->pair inputs)
                        #:outputs outputs
                        #:variables `(("package" . ,package)
                                      ("version" . ,version)))))

(define* (lower name
                #:key source inputs native-inputs outputs system target
                #:allow-other-keys #:rest arguments)
  "Return a bag for NAME."
  (and (not target)                               ;no cross-compilation
       (bag
         (name name)
         (system system)
         (host-inputs `(,@(if source `(("source" ,source)) '())
                        ,@inputs))
         (build-inputs native-inputs)
         (outputs outputs)
         (build busybox-build)
         (arguments (strip-keyword-arguments
                     '(#:source #:inputs #:native-inputs #:outputs #:system
                       #:target)
                     arguments)))))

(define busybox-build-system
  (build-system
    (name 'busybox)
    (description "Run a script in the shell of a static BusyBox")
    (lower lower)))

(define* (busybox-fetch script hash-algo hash
                        #:optional name
                        #:key (system (%current-system)) guile)
  "An origin's method that needs no network: run SCRIPT, which writes the
contents to $out."
  (busybox-derivation (or name "source") script
                      #:system system
                      #:hash hash
                      #:hash-algo hash-algo))

;;; busybox.scm ends here
