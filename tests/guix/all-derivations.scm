;;; SPDX-License-Identifier: GPL-3.0-or-later
;;; Puts the derivations of all packages for x86_64-linux into the store. Without
;;; grafts, since computing those would build packages.
(use-modules (guix) (guix grafts) (guix packages) (gnu packages) (srfi srfi-1))

(define system "x86_64-linux")

(define (supported? package)
  (member system (package-transitive-supported-systems package system)))

(with-store store
  (set-build-options store #:use-substitutes? #f)
  (parameterize ((%graft? #f))
    (let ((packages (filter supported? (fold-packages cons '()))))
      (for-each (lambda (package)
                  (package-derivation store package system #:graft? #f))
                packages)
      (format #t "~a packages~%" (length packages)))))
